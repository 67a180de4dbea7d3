import { describeFault } from './faults.ts'
import { entryLine } from './journal.ts'
import type { Run } from './run.ts'
import type { Shrunk } from './shrink.ts'
import { describeStory, type StoryOptions } from './story.ts'

/** Lines before the first violation that a failing seed shows, and after it. */
const linesBefore = 40
const linesAfter = 6

const number = (value: number): string => Math.round(value).toLocaleString('en-US')

/** What is above the lines of the seeds. */
export const heading =
  '    seed  generations                     virtual ms  log       faults (those in brackets never came)'

/** One seed in one line. */
export function seedLine(run: Run): string {
  const { story, violations, fingerprint, virtualMs } = run
  const mark = violations.length > 0 ? '✗' : ' '
  const faults = story.faults.map(({ id, kind }) => (run.fired.has(id) ? kind : `(${kind})`)).join(' ')
  const what = [
    mark,
    String(story.seed).padStart(6),
    outcomesText(run).padEnd(30),
    number(virtualMs).padStart(11)
  ]
  return `${what.join('  ')}  ${fingerprint}  ${faults || '-'}`
}

/** "5 ok, 1 typed, 1 given up". */
function outcomesText({ outcomes }: Run): string {
  const words = {
    ok: 'ok',
    typed: 'typed',
    cancelled: 'given up',
    wrong: 'WRONG',
    unfinished: 'cut off'
  } as const
  const counts = new Map<string, number>()
  for (const { type } of outcomes.values()) counts.set(words[type], (counts.get(words[type]) ?? 0) + 1)
  return Object.values(words)
    .flatMap((word) => (counts.has(word) ? [`${counts.get(word)} ${word}`] : []))
    .join(', ')
}

/** The command that runs a story again. */
export function replayCommand(seed: number, { kinds, faults, generations }: StoryOptions): string {
  const parts = [`pnpm sim --seed ${seed}`]
  if (kinds !== undefined) parts.push(`--faults ${kinds.join(',') || 'none'}`)
  if (faults !== undefined) parts.push(`--only ${[...faults].join(',') || 'none'}`)
  if (generations !== undefined) parts.push(`--generations ${[...generations].join(',') || 'none'}`)
  return `${parts.join(' ')} --verbose`
}

/** A seed as a story: who does what, what goes wrong, and what happened when. */
export function storyText(run: Run, options: StoryOptions, verbose: boolean): string {
  const { story } = run
  const lines = describeStory(story).map((line) => `  ${line}`)
  if (story.faults.length === 0) lines.push('  no faults')
  for (const fault of story.faults) {
    const never = run.fired.has(fault.id) ? '' : ' (it never came)'
    lines.push(`  fault ${fault.id}: ${describeFault(fault)}${never}`)
  }
  if (story.survives)
    lines.push('  every generation has to be answered: servers that no fault touches hold all blocks')
  lines.push('', '       ms  await    who                      what', ...timeLine(run, verbose))
  lines.push('', `  again: ${replayCommand(story.seed, options)}`)
  return lines.join('\n')
}

function timeLine({ entries }: Run, verbose: boolean): string[] {
  const first = entries.findIndex(({ kind }) => kind === 'violation')
  const shown = (index: number, kind: string): boolean =>
    verbose ||
    (kind !== 'wire' && kind !== 'log') ||
    (index > first - linesBefore && index < first + linesAfter)
  const lines: string[] = []
  let left = 0
  for (const [index, entry] of entries.entries()) {
    if (!shown(index, entry.kind)) {
      left += 1
      continue
    }
    if (left > 0) lines.push(`           … ${left} more`)
    left = 0
    lines.push(entryLine(entry))
  }
  if (left > 0) lines.push(`           … ${left} more`)
  return lines
}

/** Everything about a failing seed: what is wrong, and the smallest story in which something is. */
export function failureText(run: Run, { run: small, options, runs }: Shrunk, verbose: boolean): string {
  const left = {
    faults: run.story.faults.length - small.story.faults.length,
    generations: run.outcomes.size - small.outcomes.size
  }
  const lines = [`seed ${run.story.seed} fails:`]
  for (const { who, what, expected, got } of small.violations) {
    lines.push(`  ${who}: ${what}`, `    expected  ${expected}`, `    got       ${got}`)
  }
  lines.push(
    `  ${left.faults} faults and ${left.generations} generations could be left out (${runs} runs)`,
    storyText(small, options, verbose)
  )
  return lines.join('\n')
}

/** One seed as a plain record. */
export function jsonOf(run: Run, options: StoryOptions): Record<string, unknown> {
  const { story, violations, fingerprint, virtualMs, awaits } = run
  return {
    seed: story.seed,
    violations,
    outcomes: Object.fromEntries(run.outcomes),
    faults: story.faults.map((fault) => ({
      ...fault,
      text: describeFault(fault),
      came: run.fired.has(fault.id)
    })),
    survives: story.survives,
    virtualMs,
    awaits,
    log: fingerprint,
    replay: replayCommand(story.seed, options)
  }
}

/** What came of many seeds. */
export interface Tally {
  seeds: number
  failing: number[]
  outcomes: Map<string, number>
  codes: Map<string, number>
  faults: Map<string, number>
  virtualMs: number
}

export function createTally(): Tally {
  return { seeds: 0, failing: [], outcomes: new Map(), codes: new Map(), faults: new Map(), virtualMs: 0 }
}

export function addToTally(tally: Tally, run: Run): void {
  const count = (counts: Map<string, number>, key: string): void =>
    void counts.set(key, (counts.get(key) ?? 0) + 1)
  tally.seeds += 1
  tally.virtualMs += run.virtualMs
  if (run.violations.length > 0) tally.failing.push(run.story.seed)
  for (const outcome of run.outcomes.values()) {
    count(tally.outcomes, outcome.type)
    if (outcome.type === 'typed') count(tally.codes, outcome.code)
  }
  for (const { id, kind } of run.story.faults) if (run.fired.has(id)) count(tally.faults, kind)
}

export function tallyText(tally: Tally, seconds: number): string {
  const list = (counts: Map<string, number>): string =>
    [...counts]
      .toSorted(([, a], [, b]) => b - a)
      .map(([key, count]) => `${key} ${number(count)}`)
      .join(', ') || 'none'
  const fails =
    tally.failing.length === 0 ? 'none fails' : `${tally.failing.length} fail: ${tally.failing.join(', ')}`
  return [
    `${number(tally.seeds)} seeds in ${seconds.toFixed(1)} s (${number(tally.virtualMs / 1000)} s of virtual time): ${fails}`,
    `  generations: ${list(tally.outcomes)}`,
    `  errors: ${list(tally.codes)}`,
    `  faults that came: ${list(tally.faults)}`
  ].join('\n')
}
