import type { ConnectionEncrypter, SecuredConnection } from '@libp2p/interface'

/** What is touched of a TLS connection: Node.js's socket under it. */
interface WithSocket {
  socket?: { cork?: () => void; uncork?: () => void }
}

/**
 * An encrypter whose connections send what comes in one turn of the event loop in one piece. By itself TLS seals and
 * sends each piece it is handed alone, and wakes the receiver for it: Yamux hands on a frame as its header and its
 * data, and servers hand on the rows of several sessions at once.
 */
export function inOneWrite<C, E>(
  encrypter: (components: C) => ConnectionEncrypter<E>
): (components: C) => ConnectionEncrypter<E> {
  return (components) => {
    const inner = encrypter(components)
    const { secureInbound, secureOutbound } = inner
    inner.secureInbound = async (...args) => corked(await secureInbound.apply(inner, args))
    inner.secureOutbound = async (...args) => corked(await secureOutbound.apply(inner, args))
    return inner
  }
}

function corked<E>(secured: SecuredConnection<E>): SecuredConnection<E> {
  const { connection } = secured
  const { socket } = connection as WithSocket
  const { send } = connection
  let waiting = false
  connection.send = (data) => {
    if (!waiting && socket?.cork !== undefined) {
      waiting = true
      socket.cork()
      process.nextTick(() => {
        waiting = false
        socket.uncork?.()
      })
    }
    return send.call(connection, data)
  }
  return secured
}
