import { type ByteSource, type CallOptions, KwaaiError } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { abortable } from './abortable.ts'
import { pieceBytes } from './constants.ts'
import type { Calls } from './messages.ts'
import type { PartTensor } from './parts.ts'
import type { GgmlProcess } from './process.ts'
import type { Supervisor } from './supervisor.ts'

/** Where a part of a model is: its process, and its number there. */
export interface Place {
  process: GgmlProcess
  runner: number
}

/** A part of a model in the process that computes; in the next one too, when that process has crashed. */
export interface LoadedPart {
  /** What the process said of it. */
  readonly facts: Calls['finish'][1]
  /** Whether the process that had it last is there. */
  readonly alive: boolean
  /**
   * Asks the process that has the part, at once. Where it has crashed, the part is loaded again first, from the same
   * source; no question of before can matter then, since its sessions are gone.
   *
   * @throws A KwaaiError `ERR_BACKEND_CRASHED` when the process ends meanwhile or the part cannot be loaded again; what
   * {@link Supervisor.ready} throws.
   */
  ask<T>(question: (place: Place) => Promise<T>, options?: CallOptions): Promise<T>
  unload(): Promise<void>
}

/** Brings parts of models into the process that computes. */
export interface Loader {
  load(
    model: ByteSource,
    request: Omit<Calls['load'][0], 'specs'>,
    parts: readonly PartTensor[],
    options: CallOptions
  ): Promise<LoadedPart>
}

/** @returns a loader over the process a supervisor keeps. */
export function createLoader(supervisor: Supervisor): Loader {
  // Loads go one after another, which bounds what is in memory on the way.
  let before: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>, options: CallOptions): Promise<T> => {
    const previous = before
    const result = abortable(previous, options.signal).then(work)
    before = Promise.allSettled([previous, result])
    return result
  }

  return {
    async load(model, request, parts, options) {
      const bring = (given: CallOptions) =>
        inTurn(() => bringIn(supervisor, model, request, parts, given), given)
      const first = await bring(options)
      let place: Place = first
      let loading: Promise<Place> | undefined
      let unloaded: Promise<void> | undefined

      const again = async (): Promise<Place> => {
        try {
          place = await bring({})
          return place
        } catch (error) {
          if (KwaaiError.is(error)) throw error
          const why = error instanceof Error ? error.message : String(error)
          throw shardError(
            'ERR_BACKEND_CRASHED',
            `The process that computes ended, and the model cannot be loaded again: ${why}`,
            { cause: error }
          )
        } finally {
          loading = undefined
        }
      }
      return {
        facts: first.facts,
        get alive() {
          return place.process.alive
        },
        ask(question, { signal } = {}) {
          if (unloaded !== undefined) return Promise.reject(gone())
          if (place.process.alive) return question(place)
          loading ??= again()
          return abortable(loading.then(question), signal)
        },
        unload() {
          const over = (): void => undefined
          // Gone is gone, in whichever way.
          unloaded ??= (loading ?? Promise.resolve(place))
            .then(({ process, runner }) => process.call('unload', { runner }))
            .then(over, over)
          return unloaded
        }
      }
    }
  }
}

function gone(): Error {
  return shardError('ERR_BACKEND_CLOSED', 'Cannot use the model: it was unloaded')
}

/** In pieces, so that no more than a few are in memory here. */
async function bringIn(
  supervisor: Supervisor,
  model: ByteSource,
  request: Omit<Calls['load'][0], 'specs'>,
  parts: readonly PartTensor[],
  options: CallOptions
): Promise<Place & { facts: Calls['finish'][1] }> {
  const { process } = await supervisor.ready(options)
  const specs = parts.map(({ spec }) => spec)
  // Not to be cancelled on the way: what nobody knows of would stay loaded.
  const { runner } = (await process.call('load', { ...request, specs })).reply
  try {
    let before: Promise<unknown> = Promise.resolve()
    for (const [tensor, { tensor: place }] of parts.entries())
      for (let offset = 0; offset < place.byteLength; offset += pieceBytes) {
        const length = Math.min(pieceBytes, place.byteLength - offset)
        const bytes = await model.read(place.offset + offset, length, options)
        await before
        before = process.call('write', { runner, tensor, offset }, { ...options, data: [bytes] })
        // It is awaited in the next turn; a failure until then is no unhandled one.
        before.catch(() => undefined)
      }
    await before
    const { reply } = await process.call('finish', { runner }, options)
    return { process, runner, facts: reply }
  } catch (error) {
    await process.call('unload', { runner }).catch(() => undefined)
    throw error
  }
}
