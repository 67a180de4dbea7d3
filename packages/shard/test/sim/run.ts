import type { Clock } from '@kwaai/interface'
import { createChainSource } from '../../src/route/index.ts'
import type { RecoveryEvent } from '../../src/session/index.ts'
import { createCalls } from './calls.ts'
import {
  compareBits,
  generate,
  outcomeOf,
  outcomeText,
  undisturbed,
  type Forward,
  type Outcome
} from './client.ts'
import { createFaultEngine } from './fault-engine.ts'
import { keyText, type SeenFrame } from './frames.ts'
import { fingerprint, journalText, type Entry } from './journal.ts'
import { blockCount, hiddenSize, type SimModel } from './model.ts'
import { createServerHost, modelHash, type ServerHost } from './server-host.ts'
import type { ClientPlan, Generation, Story } from './story.ts'
import { createWorld, type Process, type World, type WorldHooks } from './world.ts'

/** Something that must never be. */
export interface Violation {
  /** `1.2`, the generation, or a peer. */
  who: string
  what: string
  expected: string
  got: string
}

/** What came of a story. */
export interface Run {
  story: Story
  entries: readonly Entry[]
  /** Tells this run from another one, by all its entries. */
  fingerprint: string
  violations: readonly Violation[]
  outcomes: ReadonlyMap<string, Outcome>
  /** Faults that came to happen, by number. */
  fired: ReadonlySet<number>
  virtualMs: number
  awaits: number
}

/** What a chain is opened with, in milliseconds, and how long an opening and a closing may take. */
const chainLimits = { openTimeoutMs: 8_000, stepTimeoutMs: 15_000, rowTimeoutMs: 20 }
const openMs = 80_000
const closeMs = 4_000
/** Time for the last frames, and for streams that linger, once all is healed and closed. */
const settleMs = 15_000
/** No story takes longer. */
const maxMs = 3_600_000

/** How a story is run. */
export interface RunOptions {
  /** Begins something besides the story, when its clients begin. */
  besides?: (world: World) => Promise<void>
}

/** Runs a story to its end, and checks everything that has to hold. */
export async function runStory(story: Story, model: SimModel, options: RunOptions = {}): Promise<Run> {
  const violations: Violation[] = []
  const outcomes = new Map<string, Outcome>()
  const hosts = new Map<string, ServerHost>()
  const clients = new Map<string, { process: Process; cancel: AbortController; done: boolean }>()
  /** "server-1a client-1 5f03a1": who has confirmed which session to whom. */
  const confirmed = new Set<string>()
  let awaits = 0

  const violate = ({ who, what, expected, got }: Violation): void => {
    violations.push({ who, what, expected, got: world.named(got) })
    world.journal.add('violation', who, world.named(`${what}: expected ${expected}, got ${got}`))
  }
  const unexpected =
    (who: string) =>
    (error: unknown): void =>
      violate({
        who,
        what: 'an error',
        expected: 'none',
        got: error instanceof Error ? `${error.stack}` : `${error}`
      })

  const engine = createFaultEngine(story.faults, {
    world: () => world,
    host: (name) => hosts.get(name),
    onDeath: (name) => {
      clients.get(name)?.process.kill()
      calls.forget(name)
    },
    onCancel: (name) => clients.get(name)?.cancel.abort(new Error(`${name} gives up`)),
    onError: unexpected('world')
  })
  const hooks: WorldHooks = {
    onAwait: (at) => engine.onAwait((awaits = at)),
    onFrame: (from, to, frame) => {
      checkConfirmed(from, to, frame)
      return engine.onFrame(from, to, frame)
    },
    onArrival: (from, to, { body }) => {
      if (body?.case !== 'opened' && body?.case !== 'joined') return
      confirmed.add(`${from} ${to} ${keyText(body.value.session)}`)
    }
  }
  /** Rows go to nobody who has not confirmed the session to the very peer that sends them. */
  const checkConfirmed = (from: string, to: string, { body, text }: SeenFrame): void => {
    if (body?.case !== 'step' || confirmed.has(`${to} ${from} ${keyText(body.value.session)}`)) return
    violate({
      who: from,
      what: `rows for ${to}`,
      expected: 'that it confirmed the session before',
      got: text
    })
  }
  const world = createWorld(story.seed, hooks)
  const calls = createCalls(world)

  const runGeneration = async (
    client: string,
    { id, maxTokens, stretches }: Generation,
    clock: Clock,
    source: ReturnType<typeof createChainSource>,
    signal: AbortSignal
  ): Promise<Outcome> => {
    const expected = await undisturbed({ maxTokens, stretches }, model)
    let wrong: Extract<Outcome, { type: 'wrong' }> | undefined
    let underWay = 0
    const within = <T>(what: string, limitMs: number, promise: PromiseLike<T>): Promise<T> =>
      calls.within({ client, who: id, what, limitMs }, promise)
    try {
      const pipeline = await within('open', openMs, source.open({ maxTokens }, { signal }))
      const servers = pipeline.chain.map(({ peer }) => world.nameOf(peer))
      world.journal.add('call', id, `is open on ${servers.join(', ')}`)
      try {
        const forward: Forward = async ({ number, step }) => {
          const rows = step.hidden.length / hiddenSize
          underWay += rows
          const limitMs = chainLimits.stepTimeoutMs + chainLimits.rowTimeoutMs * underWay
          try {
            const want = expected[number - 1] as Float32Array
            const got = await within(`call ${number}`, limitMs, pipeline.forward(step, { signal }))
            const difference = compareBits(got, want, hiddenSize)
            if (difference !== undefined && wrong === undefined) {
              wrong = { type: 'wrong', what: `wrong bits in call ${number}`, ...difference }
              violate({ who: id, ...wrong })
            }
            // Goes on with the right rows: one difference is not to become many.
            return want
          } finally {
            underWay -= rows
          }
        }
        await generate(stretches, model, forward, (ms) => clock.sleep(ms, { signal }))
      } finally {
        await within('close', closeMs, pipeline[Symbol.asyncDispose]())
      }
    } catch (error) {
      if (wrong !== undefined) return wrong
      const outcome = outcomeOf(error, signal)
      if (outcome.type === 'wrong') violate({ who: id, ...outcome })
      return outcome
    }
    return wrong ?? { type: 'ok' }
  }

  const tellRecovery =
    (client: string) =>
    ({ step, blocks, from, to, cause, stallMs, replayedRows }: RecoveryEvent): void => {
      const names = (peers: readonly string[]): string => peers.map(world.nameOf).join(', ')
      const where = `blocks ${blocks.from} to ${blocks.to - 1} moved from ${names(from)} to ${names(to)}`
      const what = `${where} before step ${step} (${cause}): ${replayedRows} rows again, ${Math.round(stallMs)} ms`
      world.journal.add('call', client, what)
    }

  const judge = (id: string, outcome: Outcome): void => {
    outcomes.set(id, outcome)
    world.journal.add('call', id, world.named(outcomeText(outcome)))
    if (outcome.type !== 'typed' || !story.survives) return
    const expected = 'an answer: servers that no fault touches hold all blocks'
    violate({ who: id, what: 'no answer', expected, got: `${outcome.code} ${outcome.message}` })
  }

  const runClient = async ({ name, topology, generations }: ClientPlan): Promise<void> => {
    const process = await world.process(name)
    const client = { process, cancel: new AbortController(), done: false }
    clients.set(name, client)
    const { network, clock, random, logger } = process
    const source = createChainSource(
      { modelHash, blockCount, hiddenSize, topology, ...chainLimits, onRecovery: tellRecovery(name) },
      { network, clock, random, logger, records: world.board.store(process.did) }
    )
    await source.start()
    for (const generation of generations) {
      await clock.sleep(generation.pauseMs)
      client.cancel = new AbortController()
      const outcome = await runGeneration(name, generation, clock, source, client.cancel.signal)
      // What a dead client sees is nobody's.
      if (!process.alive) return
      judge(generation.id, outcome)
    }
    await source.stop()
    await network.stop()
    client.done = true
  }

  /** Lets the world run, until then or until a call is late. */
  const run = async (done: () => boolean, limitMs: number): Promise<boolean> => {
    let late: ReturnType<typeof calls.late>
    const ended = await world.run(
      () => late !== undefined || done(),
      () => (late = calls.late()),
      limitMs
    )
    if (late !== undefined) {
      const expected = `an answer or an error within ${late.limitMs} ms`
      violate({ who: late.who, what: late.what, expected, got: 'nothing: it hangs' })
    } else if (ended !== 'done') {
      const waiting = calls.open().map(({ who, what }) => `${what} of ${who}`)
      const got = `${ended === 'late' ? 'no end' : 'nothing that could happen'} (${waiting.join(', ') || 'no call'} waits)`
      violate({ who: 'world', what: 'the run', expected: 'an end', got })
    }
    return ended === 'done' && late === undefined
  }
  const settle = async (): Promise<void> => {
    let over = false
    void world.wait(settleMs).then(() => (over = true))
    await world.run(
      () => over,
      () => undefined,
      maxMs
    )
  }
  const task = async (promise: Promise<unknown>): Promise<boolean> => {
    let over = false
    promise.catch(unexpected('world')).finally(() => (over = true))
    return run(() => over, world.ms() + maxMs)
  }

  const live = async (): Promise<void> => {
    for (const plan of story.servers) {
      const { name } = plan
      const part = { full: engine.isFull(name), lie: engine.lieOf(name), onCall: engine.onCall }
      hosts.set(name, createServerHost({ world, model, plan, ...part }))
    }
    for (const { generations } of story.clients) {
      for (const { id } of generations) outcomes.set(id, { type: 'unfinished' })
    }
    const all = [...hosts.values()]
    if (!(await task(Promise.all(all.map((host) => host.start()))))) return
    engine.begin()
    options.besides?.(world).catch(unexpected('besides'))
    for (const client of story.clients) runClient(client).catch(unexpected(client.name))
    const over = (): boolean =>
      clients.size === story.clients.length &&
      [...clients.values()].every(({ process, done }) => done || !process.alive)
    if (!(await run(over, maxMs))) return
    engine.heal()
    await settle()
    for (const host of all) checkIdle(host)
    if (!(await task(Promise.all(all.map((host) => host.stop()))))) return
    await settle()
    const timers = world.timers()
    if (timers.length > 0) violate({ who: 'world', what: 'timers', expected: 'none', got: timers.join(', ') })
  }
  /** Nothing is left at a server that lives. */
  const checkIdle = ({ plan, server, held }: ServerHost): void => {
    if (server === undefined) return
    const { sessions, kvBytes, queuedSteps } = server.stats()
    const left = { sessions, kvBytes, queuedSteps, held }
    const got = Object.entries(left).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]))
    if (got.length === 0) return
    violate({ who: plan.name, what: 'what is left', expected: 'nothing', got: got.join(', ') })
  }

  const stopListening = onUnhandled((error) => unexpected('unhandled rejection')(error))
  try {
    await live()
  } finally {
    stopListening()
  }
  const { entries } = world.journal
  return {
    story,
    entries,
    fingerprint: fingerprint(journalText(entries)),
    violations,
    outcomes,
    fired: engine.fired,
    virtualMs: world.ms(),
    awaits
  }
}

/** Calls back for every rejection that nobody handles, until the returned function is called. */
function onUnhandled(listener: (error: unknown) => void): () => void {
  process.on('unhandledRejection', listener)
  return () => void process.off('unhandledRejection', listener)
}
