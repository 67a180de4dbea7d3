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

  return {
    request: (route, method, status) =>
      requests.add([route, methods.has(method) ? method : 'other', String(status)]),
    refused: (code) => refusals.add([code]),
    answer: (outcome) => {
      const model = outcome.model.slice(0, MAX_MODEL_ID_LENGTH)
      answers.add([model, outcome.kind, outcome.outcome])
      if (outcome.usage !== undefined) {
        tokens.add([model, 'prompt'], outcome.usage.promptTokens)
        tokens.add([model, 'completion'], outcome.usage.completionTokens)
        tokens.add([model, 'cached'], outcome.usage.cachedTokens)
      }
      if (outcome.firstTokenMs !== undefined)
        firstToken.observe([model, outcome.kind], outcome.firstTokenMs / 1000)
      duration.observe([model, outcome.kind], outcome.durationMs / 1000)
    },
    text: registry.text
  }
}
