import type { FaultKind } from './schedule.ts'

/** Something that must not happen. */
export interface Finding {
  /** Seconds since the faults began. */
  atS: number
  what: string
  where: string
  /** The faults of the moments before. */
  after: string[]
}

/** Refusals of one code: how many, and the words of the first. */
export interface Refused {
  count: number
  example: string
}

/** What a run showed. */
export interface ChaosReport {
  seed: number
  layout: string
  seconds: number
  generations: { asked: number; ok: number; left: number; refused: Record<string, Refused>; wrong: number }
  faults: Record<FaultKind, number>
  frames: { drop: number; duplicate: number }
  /** The longest wait between two tokens of each answer, in milliseconds. */
  stallMs: { p50: number; p95: number; max: number }
  firstTokenMs: { p50: number; p95: number; max: number }
  tokens: number
  /** Milliseconds from the end of the faults to the first whole answer. */
  recoveredMs: number | undefined
  /** What the long-lived processes grew by, in bytes and files: the most of all. */
  growth: { heapBytes: number; residentBytes: number; files: number }
  findings: Finding[]
}

/** Quantiles of a list: of none, zeros. */
export function quantiles(values: readonly number[]): { p50: number; p95: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0)
  return { p50: at(0.5), p95: at(0.95), max: at(1) }
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds)
  return `${String(Math.floor(whole / 60)).padStart(2, '0')}:${String(whole % 60).padStart(2, '0')}`
}

/** One line that shows where a run is. */
export function progressLine(report: ChaosReport, atS: number, now: readonly string[]): string {
  const { generations, faults, findings } = report
  const refused = Object.values(generations.refused).reduce((sum, { count }) => sum + count, 0)
  const injected = Object.values(faults).reduce((sum, count) => sum + count, 0)
  return (
    `seed ${report.seed}  ${clock(atS)} of ${clock(report.seconds)}  ` +
    `${generations.ok} right, ${generations.wrong} wrong, ${refused} refused, ${generations.left} left  ` +
    `${injected} faults  ${findings.length} findings  ${now.join(', ')}`
  )
}

/** The table at the end, for people. */
export function reportText(report: ChaosReport): string {
  const { generations, faults, frames, stallMs, firstTokenMs, growth, findings } = report
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none'
  const times = ({ p50, p95, max }: { p50: number; p95: number; max: number }): string =>
    `p50 ${p50} ms, p95 ${p95} ms, max ${max} ms`
  const rows: [string, string][] = [
    ['Seed', `${report.seed}, layout ${report.layout}, ${clock(report.seconds)}`],
    [
      'Generations',
      `${generations.asked}: ${generations.ok} right to the last bit, ${generations.wrong} wrong`
    ],
    ['Refused by code', Object.keys(generations.refused).length === 0 ? 'none' : ''],
    ...Object.entries(generations.refused).map(([code, { count, example }]): [string, string] => [
      `  ${code}`,
      `${count}, the first: ${example.slice(0, 200)}`
    ]),
    ['Left by the caller', String(generations.left)],
    ['Tokens', `${report.tokens}, ${(report.tokens / report.seconds).toFixed(1)} a second`],
    ['Faults', list(faults)],
    ['Frames', list({ lost: frames.drop, doubled: frames.duplicate })],
    ['Longest stall of an answer', times(stallMs)],
    ['First token', times(firstTokenMs)],
    [
      'Whole again after',
      report.recoveredMs === undefined ? 'never' : `${Math.round(report.recoveredMs)} ms`
    ],
    [
      'Growth at most',
      `heap ${mib(growth.heapBytes)}, resident ${mib(growth.residentBytes)}, files ${growth.files}`
    ]
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const table = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  const verdict =
    findings.length === 0
      ? ['', 'Nothing found: no wrong bit, no hang, no leak, every refusal typed.']
      : [
          '',
          `${findings.length} findings. Run it again with --seed ${report.seed} --layout ${report.layout}`,
          ...findings
            .slice(0, 20)
            .flatMap(({ atS, what, where, after }) => [
              '',
              `${clock(atS)}  ${what}`,
              `       ${where}`,
              ...after.map((line) => `       after ${line}`)
            ])
        ]
  return `${[...table, ...verdict].join('\n')}\n`
}
