import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'

/** What is touched of a TLS connection: Node.js's socket under it. */
interface WithSocket {
  socket?: { cork?: () => void; uncork?: () => void }
}

/**
 * An encrypter whose connections send what comes before the event loop's next tick in one piece. By itself TLS seals and
 * sends each piece it is handed alone, and wakes the receiver for it: Yamux hands on a frame as its header and its
 * data, and servers hand on the rows of several sessions at once.
 */
export function inOneWrite<C, E>(
  encrypter: (components: C) => ConnectionEncrypter<E>
): (components: C) => ConnectionEncrypter<E> {
  return (components) => {
    const inner = encrypter(components)
    const { secureInbound, secureOutbound } = inner
    inner.secureInbound = async (raw, ...rest) => corked(await secureInbound.call(inner, raw, ...rest), raw)
    inner.secureOutbound = async (raw, ...rest) => corked(await secureOutbound.call(inner, raw, ...rest), raw)
    return inner
  }
}

function corked<E>(secured: SecuredConnection<E>, raw: MessageStream): SecuredConnection<E> {
  const { connection } = secured
  const { socket } = connection as WithSocket
  const { send } = connection
  const { close, abort } = raw
  let waiting = false
  const flush = (): void => {
    if (!waiting) return
    waiting = false
    socket?.uncork?.()
  }
  connection.send = (data) => {
    if (!waiting && socket?.cork !== undefined) {
      waiting = true
      socket.cork()
      process.nextTick(flush)
    }
    return send.call(connection, data)
  }
  // Who ends the transport below has said why above: that goes out first.
  raw.close = (options) => {
    flush()
    return close.call(raw, options)
  }
  raw.abort = (error) => {
    flush()
    abort.call(raw, error)
  }
  return secured
}
