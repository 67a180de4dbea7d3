import { ANSWER_SECONDS, FIRST_TOKEN_SECONDS, MAX_METRIC_SERIES, MAX_MODEL_ID_LENGTH } from './constants.ts'
import type { AnswerOutcome } from './context.ts'
import { createMetricsRegistry } from './metrics.ts'

/** What the API counts. */
export interface ApiMetrics {
  /** @param route the address in the table of routes, never the address asked for */
  request(route: string, method: string, status: number): void
  refused(code: string): void
  answer(outcome: AnswerOutcome): void
  /** In Prometheus' text format. */
  text(): string
}

const methods = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'])

/** Makes the counts of an API. Their labels come from its own tables and from its models, never from a request. */
export function createApiMetrics(running: () => number): ApiMetrics {
  const registry = createMetricsRegistry({ maxSeries: MAX_METRIC_SERIES })
  const requests = registry.counter('kwaai_api_requests_total', 'Requests answered.', [
    'route',
    'method',
    'status'
  ])
  const refusals = registry.counter(
    'kwaai_api_refusals_total',
    'Requests refused, by the code of the error.',
    ['code']
  )
  registry.gauge('kwaai_api_answers_running', 'Answers under way.', running)
  const answers = registry.counter('kwaai_api_answers_total', 'Answers ended; cancelled ones were aborted.', [
    'model',
    'kind',
    'outcome'
  ])
  const tokens = registry.counter('kwaai_api_tokens_total', 'Tokens; cached ones are prompt tokens too.', [
    'model',
    'type'
  ])
  const firstToken = registry.histogram(
    'kwaai_api_time_to_first_token_seconds',
    'From the request to the first text.',
    ['model', 'kind'],
    FIRST_TOKEN_SECONDS
  )
  const duration = registry.histogram(
    'kwaai_api_answer_duration_seconds',
    'From the request to the end of its answer.',
    ['model', 'kind'],
    ANSWER_SECONDS
  )

  const requestOf = remembering((route: string, method: string, status: number) =>
    requests.of([route, methods.has(method) ? method : 'other', String(status)])
  )
  const seriesOf = remembering((model: string, kind: string, outcome: string) => ({
    answers: answers.of([model, kind, outcome]),
    prompt: tokens.of([model, 'prompt']),
    completion: tokens.of([model, 'completion']),
    cached: tokens.of([model, 'cached']),
    firstToken: firstToken.of([model, kind]),
    duration: duration.of([model, kind])
  }))

  return {
    request: (route, method, status) => requestOf(route, method, status).add(),
    refused: (code) => refusals.of([code]).add(),
    answer({ model, kind, outcome, usage, firstTokenMs, durationMs }) {
      const series = seriesOf(model.slice(0, MAX_MODEL_ID_LENGTH), kind, outcome)
      series.answers.add()
      series.prompt.add(usage?.promptTokens ?? 0)
      series.completion.add(usage?.completionTokens ?? 0)
      series.cached.add(usage?.cachedTokens ?? 0)
      if (firstTokenMs !== undefined) series.firstToken.observe(firstTokenMs / 1000)
      series.duration.observe(durationMs / 1000)
    },
    text: registry.text
  }
}

/** Finds the series of the same labels again without putting their text together. */
function remembering<Labels extends (string | number)[], Series>(
  find: (...labels: Labels) => Series
): (...labels: Labels) => Series {
  const known = new Map<string, Series>()
  return (...labels) => {
    const key = labels.join('\n')
    let series = known.get(key)
    if (series === undefined) {
      series = find(...labels)
      if (known.size < MAX_METRIC_SERIES) known.set(key, series)
    }
    return series
  }
}
