import { KwaaiError } from '@kwaai/interface'
import { shardError, shardErrors, type ShardErrorCode } from '../errors.ts'
import type { Failure } from '../gen/shard_pb.ts'
import type { FrameInit } from './messages.ts'

/** The failure frame of an error. Errors that are not ours are named, never quoted: their text may hold secrets. */
export function failureFrame(session: Uint8Array, step: number, error: unknown, route = 0): FrameInit {
  const known = isShardError(error)
  const code = known ? error.code : 'ERR_SHARD_BACKEND_FAILED'
  const message = known ? error.message : 'Cannot run the step: the backend of the server failed'
  const details = Object.entries(known ? error.details : {}).flatMap(([name, value]) =>
    (typeof value === 'string' || typeof value === 'number') && name !== 'retryAfterMs'
      ? [[name, String(value).slice(0, 256)]]
      : []
  )
  return {
    case: 'failure',
    value: {
      session,
      step,
      code,
      message: message.slice(0, 512),
      retryAfterMs: retryAfterOf(error) ?? 0,
      details: Object.fromEntries(details.slice(0, 16)),
      route
    }
  }
}

/** The error of a failure frame, with what the caller knows of the hop added. */
export function errorOf(
  failure: Failure,
  facts: Readonly<Record<string, unknown>>
): KwaaiError<ShardErrorCode> {
  const told = Object.entries(failure.details).map(([name, value]) => [printable(name), printable(value)])
  const details = {
    ...Object.fromEntries(told),
    ...facts,
    ...(failure.retryAfterMs > 0 ? { retryAfterMs: failure.retryAfterMs } : {})
  }
  if (isShardCode(failure.code)) return shardError(failure.code, printable(failure.message), { details })
  return shardError('ERR_SHARD_HOP_FAILED', `Cannot run the step: the server says ${failure.code}`, {
    details: { ...details, remoteCode: failure.code }
  })
}

/** The same error with more facts. */
export function withDetails(error: unknown, details: Readonly<Record<string, unknown>>): unknown {
  if (!isShardError(error)) return error
  return shardError(error.code, error.message, { cause: error, details: { ...error.details, ...details } })
}

/** When an error says it is worth trying again, in milliseconds. */
export function retryAfterOf(error: unknown): number | undefined {
  const value = KwaaiError.is(error) ? error.details['retryAfterMs'] : undefined
  return typeof value === 'number' && value > 0 && value <= 0xffff_ffff ? Math.ceil(value) : undefined
}

/** Text of a peer without what could move a terminal's cursor. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '\ufffd')
}

function isShardCode(code: string): code is ShardErrorCode {
  return code.startsWith('ERR_SHARD_') && Object.hasOwn(shardErrors, code)
}

function isShardError(error: unknown): error is KwaaiError<ShardErrorCode> {
  return KwaaiError.is(error) && isShardCode(error.code)
}
