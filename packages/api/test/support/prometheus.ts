/** One line of a metrics text. */
export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

/** What a metrics text says: the type of each metric, and the samples. */
export interface MetricsText {
  types: Map<string, string>
  samples: Sample[]
  /** The value of the one sample with this name and these labels; 0 where there is none. */
  value(name: string, labels?: Record<string, string>): number
}

const nameForm = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const typeNames = new Set(['counter', 'gauge', 'histogram'])

/**
 * Reads Prometheus' text format, version 0.0.4, strictly: each metric with its HELP and TYPE before its samples,
 * all in one group, escapes as the format has them, histograms that rise to their count.
 * @throws where the text is not so.
 */
export function parseMetrics(text: string): MetricsText {
  const fail = (line: string, why: string): never => {
    throw new Error(`${why}: ${line}`)
  }
  if (!text.endsWith('\n') || text.includes('\r')) fail(text.slice(-20), 'lines end with a line feed')
  const types = new Map<string, string>()
  const samples: Sample[] = []
  let helped = ''
  let current = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP (\S+) (.+)$/.exec(line)
    const type = /^# TYPE (\S+) (\S+)$/.exec(line)
    if (help !== null) {
      helped = help[1] ?? ''
    } else if (type !== null) {
      current = type[1] ?? ''
      if (current !== helped || types.has(current) || !typeNames.has(type[2] ?? '')) fail(line, 'odd TYPE')
      types.set(current, type[2] ?? '')
    } else {
      const sample = parseSample(line)
      const base =
        types.get(current) === 'histogram' ? sample.name.replace(/_(bucket|sum|count)$/, '') : sample.name
      if (base !== current) fail(line, 'a sample outside its group')
      samples.push(sample)
    }
  }
  const names = samples.map(
    ({ name, labels }) => `${name}${JSON.stringify(Object.entries(labels).toSorted())}`
  )
  if (new Set(names).size < names.length) fail('', 'a series twice')
  checkHistograms(types, samples)
  const value: MetricsText['value'] = (name, labels = {}) => {
    const found = samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, text]) => sample.labels[label] === text)
    )
    if (found.length > 1) throw new Error(`${name} ${JSON.stringify(labels)} is not one series`)
    return found[0]?.value ?? 0
  }
  return { types, samples, value }
}

function parseSample(line: string): Sample {
  const [name = ''] = nameForm.exec(line) ?? []
  let rest = line.slice(name.length)
  const labels: Record<string, string> = {}
  if (rest.startsWith('{')) {
    rest = rest.slice(1)
    while (!rest.startsWith('}')) {
      const found = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|(?=\}))/.exec(rest)
      if (found === null) throw new Error(`odd labels: ${line}`)
      labels[found[1] ?? ''] = (found[2] ?? '').replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : String(c)))
      rest = rest.slice(found[0].length)
    }
    rest = rest.slice(1)
  }
  if (name === '' || !/^ (\d+(\.\d+)?(e[+-]?\d+)?)$/.test(rest)) throw new Error(`odd sample: ${line}`)
  return { name, labels, value: Number(rest) }
}

function checkHistograms(types: Map<string, string>, samples: readonly Sample[]): void {
  const last = new Map<string, { le: number; value: number }>()
  for (const { name, labels, value } of samples) {
    const base = name.replace(/_(bucket|count)$/, '')
    if (types.get(base) !== 'histogram') continue
    const { le, ...others } = labels
    const series = base + JSON.stringify(others)
    const before = last.get(series) ?? { le: -Infinity, value: 0 }
    if (name.endsWith('_bucket')) {
      const bound = le === '+Inf' ? Infinity : Number(le)
      if (!(bound > before.le) || value < before.value) throw new Error(`a bucket falls: ${series} ${le}`)
      last.set(series, { le: bound, value })
    } else if (name.endsWith('_count') && (before.le !== Infinity || before.value !== value)) {
      throw new Error(`the buckets do not come to the count: ${series}`)
    }
  }
}
