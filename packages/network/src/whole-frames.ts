import type { ConnectionEncrypter, SecuredConnection } from '@libp2p/interface'

/**
 * An encrypter whose connections take what is sent at once as one piece. TLS makes a record of each piece it is handed,
 * and Yamux hands on a frame as its header and its data: two records to seal and send, and a receiver that is woken for
 * the twelve bytes of the header, and again for the data.
 */
export function wholeFrames<C, E>(
  encrypter: (components: C) => ConnectionEncrypter<E>
): (components: C) => ConnectionEncrypter<E> {
  return (components) => {
    const inner = encrypter(components)
    return Object.create(inner, {
      secureInbound: {
        value: async (...args: Parameters<typeof inner.secureInbound>) =>
          whole(await inner.secureInbound(...args))
      },
      secureOutbound: {
        value: async (...args: Parameters<typeof inner.secureOutbound>) =>
          whole(await inner.secureOutbound(...args))
      }
    }) as typeof inner
  }
}

function whole<E>(secured: SecuredConnection<E>): SecuredConnection<E> {
  const { connection } = secured
  const { send } = connection
  connection.send = (data) => send.call(connection, data instanceof Uint8Array ? data : data.subarray())
  return secured
}
