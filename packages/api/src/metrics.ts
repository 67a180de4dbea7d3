/** Values of the labels of one series, in the order of the metric's label names. */
type LabelValues = readonly string[]

/** Something counted that only grows, under one set of label values. */
export interface CountedSeries {
  add(amount?: number): void
}

/** Something measured, counted by its size. */
export interface MeasuredSeries {
  observe(value: number): void
}

/** All series of one metric. Whoever counts often keeps what `of` gives. */
export interface Metric<Series> {
  of(labels: LabelValues): Series
}

/** Counts and measures, to be read as one text. */
export interface MetricsRegistry {
  counter(name: string, help: string, labelNames: readonly string[]): Metric<CountedSeries>
  /** A value that is asked for when the text is made. */
  gauge(name: string, help: string, value: () => number): void
  /** @param bounds upper bounds of the buckets, rising */
  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    bounds: readonly number[]
  ): Metric<MeasuredSeries>
  /** All of it in Prometheus' text format, version 0.0.4. */
  text(): string
}

/** The media type of Prometheus' text format. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * Makes an empty registry. A metric holds at most `maxSeries` sets of label values; what comes after that is
 * counted under `other`, so that no sum is wrong and no name from outside takes memory.
 */
export function createMetricsRegistry(init: { maxSeries: number }): MetricsRegistry {
  const metrics: (() => string[])[] = []

  const seriesOf = <T>(labelNames: readonly string[], make: () => T) => {
    const series = new Map<string, T>()
    const at = (values: LabelValues): T => {
      const name = labelText(labelNames, values)
      const known = series.get(name)
      if (known !== undefined) return known
      const other = labelText(
        labelNames,
        labelNames.map(() => 'other')
      )
      const full = series.size >= init.maxSeries
      const created = (full ? series.get(other) : undefined) ?? make()
      series.set(full ? other : name, created)
      return created
    }
    return { series, at }
  }

  const counter: MetricsRegistry['counter'] = (name, help, labelNames) => {
    const { series, at } = seriesOf(labelNames, () => ({ total: 0 }))
    metrics.push(() => [
      ...head(name, help, 'counter'),
      ...[...series].map(([labels, { total }]) => sample(name, labels, total))
    ])
    return {
      of: (labels) => {
        const one = at(labels)
        return {
          add: (amount = 1) => {
            // A counter never falls, whatever a model counts.
            if (amount >= 0 && Number.isFinite(amount)) one.total += amount
          }
        }
      }
    }
  }

  const gauge: MetricsRegistry['gauge'] = (name, help, value) => {
    metrics.push(() => [...head(name, help, 'gauge'), sample(name, '', value())])
  }

  const histogram: MetricsRegistry['histogram'] = (name, help, labelNames, bounds) => {
    const { series, at } = seriesOf(labelNames, () => ({ buckets: bounds.map(() => 0), sum: 0, count: 0 }))
    metrics.push(() => {
      const lines = head(name, help, 'histogram')
      for (const [labels, { buckets, sum, count }] of series) {
        let below = 0
        for (const [index, bound] of bounds.entries()) {
          below += buckets[index] ?? 0
          lines.push(sample(`${name}_bucket`, joined(labels, `le="${bound}"`), below))
        }
        lines.push(sample(`${name}_bucket`, joined(labels, 'le="+Inf"'), count))
        lines.push(sample(`${name}_sum`, labels, sum), sample(`${name}_count`, labels, count))
      }
      return lines
    })
    return {
      of: (labels) => {
        const one = at(labels)
        return {
          observe: (value) => {
            if (!(value >= 0) || !Number.isFinite(value)) return
            const index = bounds.findIndex((bound) => value <= bound)
            if (index >= 0) one.buckets[index] = (one.buckets[index] ?? 0) + 1
            one.sum += value
            one.count += 1
          }
        }
      }
    }
  }

  const text = (): string => `${metrics.flatMap((lines) => lines()).join('\n')}\n`
  return { counter, gauge, histogram, text }
}

function head(name: string, help: string, type: 'counter' | 'gauge' | 'histogram'): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
}

function sample(name: string, labels: string, value: number): string {
  return `${name}${labels === '' ? '' : `{${labels}}`} ${value}`
}

function joined(labels: string, more: string): string {
  return labels === '' ? more : `${labels},${more}`
}

function labelText(names: readonly string[], values: LabelValues): string {
  return names.map((name, index) => `${name}="${escaped(values[index] ?? '')}"`).join(',')
}

/** As the format has it: backslash, quote and line feed. */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
