import { KwaaiError, type BlockRunner, type KvHandle, type PeerId } from '@kwaai/interface'
import { bytesToHex } from '@noble/hashes/utils.js'
import { shardError } from '../errors.ts'
import type { Open } from '../gen/shard_pb.ts'
import { openArguments, openCommand } from './open-arguments.ts'
import type { ServedChannel, ServerState } from './serve-channel.ts'
import { createServedSession, type ServedSession } from './served-session.ts'
import { checkOpen, keyText } from './server-checks.ts'
import { sessionBytes } from './session-bytes.ts'

/**
 * Opens a session. What it takes is given back by the tasks handed to `atEnd`, the last one first.
 *
 * @param signal - bounds the time until the session's room is taken.
 * @throws A KwaaiError with what stands in the way of the session.
 */
export async function openSession(
  open: Open,
  served: ServedChannel,
  state: ServerState,
  atEnd: (task: () => Promise<void> | void) => void,
  signal: AbortSignal
): Promise<ServedSession> {
  const { channel, ended } = served
  const { settings, sessions, admission, executor, components } = state
  const { runner } = components
  checkOpen(open, settings, runner)
  await authorize(open, channel.peer, state, signal)
  if (state.draining) {
    throw shardError('ERR_SHARD_DRAINING', 'Cannot open the session: the server is going away')
  }
  const id = keyText(open.session)
  const other = sessions.get(id)
  if (other !== undefined) {
    const owner = other.peer === channel.peer ? 'another channel' : 'another caller'
    throw shardError('ERR_SHARD_SESSION_FOREIGN', `Cannot open the session: its key belongs to ${owner}`)
  }
  // From here to the next await nothing else runs: what was checked still holds when it is taken.
  const session = createServedSession(open, channel, ended, state)
  const reservation = admission.reserve(channel.peer, sessionBytes(runner, open), session)
  sessions.set(id, session)
  served.onKnown()
  atEnd(() => {
    sessions.delete(id)
    reservation.release()
    state.onEnd()
  })
  await reservation.ready({ signal: ended.signal })
  const handle = await openRunner(runner, open.maxTokens)
  atEnd(async () => {
    executor.drop(handle)
    await runner.close(handle).catch(() => undefined)
  })
  ended.signal.throwIfAborted()
  await session.begin(handle)
  return session
}

async function authorize(open: Open, peer: PeerId, state: ServerState, signal: AbortSignal): Promise<void> {
  try {
    await state.components.authorizer?.authorize(
      {
        peer,
        command: openCommand,
        capability: open.authorization,
        arguments: openArguments({ ...open, modelHash: bytesToHex(open.model) })
      },
      { signal }
    )
  } catch (error) {
    signal.throwIfAborted()
    const why = KwaaiError.is(error, 'ERR_UNAUTHORIZED') ? error.message : 'the authorizer failed'
    throw shardError('ERR_SHARD_UNAUTHORIZED', `Cannot open the session: ${why}`, { cause: error })
  }
}

async function openRunner(runner: BlockRunner, maxTokens: number): Promise<KvHandle> {
  try {
    return await runner.open({ maxTokens })
  } catch (error) {
    throw shardError('ERR_SHARD_SERVER_FULL', 'Cannot open the session: the backend has no room for it', {
      cause: error,
      details: { retryAfterMs: 5_000 }
    })
  }
}
