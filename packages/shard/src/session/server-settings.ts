import type { BlockRunner } from '@kwaai/interface'
import { defaultIdleTimeoutMs, defaultMaxFrameBytes, defaultOpenTimeoutMs } from '../constants.ts'
import { shardError } from '../errors.ts'
import { sessionTokens } from './session-bytes.ts'

/** What a block server serves, and its limits. */
export interface BlockServerInit {
  /** SHA-256 of the model file, 64 lower-case hex digits. */
  modelHash: string
  /** What decides the bits of the runner's results: `BlockBackend.numericsClass()`. */
  numericsClass: string
  /** Rows one session may hold. Default: the model's context, or what one caller's bytes of cache hold. */
  maxTokens?: number
  /** Sessions open at once. Default 64. */
  maxSessions?: number
  /** Sessions of one caller open at once. Default 16. */
  maxSessionsPerPeer?: number
  /** Bytes of cache of all sessions. Default 1 GiB. */
  maxKvBytes?: number
  /** Bytes of cache of one caller's sessions. Default: half of `maxKvBytes`. */
  maxKvBytesPerPeer?: number
  /** Milliseconds without a frame after which a session is forgotten. Default 120,000. */
  idleTimeoutMs?: number
  /** Milliseconds without a frame after which a session may have to make room for another. Default 2,000. */
  minIdleMs?: number
  /** Milliseconds a caller has between its channel and its first frame. Default 10,000. */
  openTimeoutMs?: number
  /** Steps of one session held at once, the running one included. Default 16. */
  maxPendingSteps?: number
  /** Bytes of rows of all sessions that may wait or run. Default 256 MiB. */
  maxPendingBytes?: number
  /** Rows of one step. Default 512. */
  maxStepRows?: number
  /** Bytes of a session's inputs and results kept to answer repeats. Default 4 MiB. */
  maxKeptBytes?: number
  /** Sessions whose steps may share one call of the runner. Default 8; 1 where a backend's bits depend on it. */
  maxBatchSteps?: number
  /**
   * Rows of prompts that share one call of the runner; generated rows wait behind one such call at most. A
   * single step may have more. Default 128.
   */
  maxPrefillRows?: number
  /**
   * Batches into which the sessions that generate are divided, so that one computes here while another is at the
   * next server. Default 2, or 1 where this server runs all blocks; more pay where each server has cores of its own.
   */
  decodeGroups?: number
  /** Milliseconds a batch of generated rows may be held back for the sessions missing in it. Default 10. */
  maxHoldMs?: number
  /** Largest frame. Default 8 MiB and a header. */
  maxFrameBytes?: number
  /** Measure the runner's speed at the start, with three rows. Default true. */
  measure?: boolean
}

/** The options of a server with their defaults. */
export type BlockServerSettings = Required<Omit<BlockServerInit, 'measure'>>

/**
 * Puts in the defaults.
 *
 * @throws A KwaaiError `ERR_SHARD_INVALID_INIT` when an option is out of range.
 */
export function resolveSettings(init: BlockServerInit, runner: BlockRunner): BlockServerSettings {
  if (!/^[0-9a-f]{64}$/.test(init.modelHash)) {
    throw shardError(
      'ERR_SHARD_INVALID_INIT',
      'Cannot make the server: modelHash is no SHA-256 in lower-case hex'
    )
  }
  const maxKvBytes = init.maxKvBytes ?? 1_073_741_824
  const maxKvBytesPerPeer = init.maxKvBytesPerPeer ?? Math.floor(maxKvBytes / 2)
  // An advert that promises more would be refused at every opening.
  const most = Math.min(
    runner.shape.contextLength,
    sessionTokens(runner, Math.min(maxKvBytes, maxKvBytesPerPeer))
  )
  const settings: BlockServerSettings = {
    modelHash: init.modelHash,
    numericsClass: init.numericsClass,
    maxTokens: Math.min(init.maxTokens ?? most, most),
    maxSessions: init.maxSessions ?? 64,
    maxSessionsPerPeer: init.maxSessionsPerPeer ?? 16,
    maxKvBytes,
    maxKvBytesPerPeer,
    idleTimeoutMs: init.idleTimeoutMs ?? defaultIdleTimeoutMs,
    minIdleMs: init.minIdleMs ?? 2_000,
    openTimeoutMs: init.openTimeoutMs ?? defaultOpenTimeoutMs,
    maxPendingSteps: init.maxPendingSteps ?? 16,
    maxPendingBytes: init.maxPendingBytes ?? 268_435_456,
    maxStepRows: init.maxStepRows ?? 512,
    maxKeptBytes: init.maxKeptBytes ?? 4_194_304,
    maxBatchSteps: init.maxBatchSteps ?? 8,
    maxPrefillRows: init.maxPrefillRows ?? 128,
    decodeGroups: init.decodeGroups ?? (runner.from === 0 && runner.to === runner.shape.blockCount ? 1 : 2),
    maxHoldMs: init.maxHoldMs ?? 10,
    maxFrameBytes: init.maxFrameBytes ?? defaultMaxFrameBytes
  }
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === 'number' && !(Number.isSafeInteger(value) && value > 0)) {
      throw shardError(
        'ERR_SHARD_INVALID_INIT',
        `Cannot make the server: ${name} is ${value}, not a positive integer`
      )
    }
  }
  return settings
}
