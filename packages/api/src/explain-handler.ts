import type { RouteConstraints } from '@kwaai/interface'
import type { Catalogue } from './catalogue.ts'
import type { Handler } from './context.ts'
import { kwaaiField, toRoute } from './generation-options.ts'
import { refusalOfIssue } from './parsing.ts'
import { invalid, modelNotFound, refusalOf, RequestRefused, type RequestWords } from './refusals.ts'
import { reply } from './replies.ts'

const numbers = new Set(['minScore', 'maxLatencyMs', 'maxPrice'])
const words: RequestWords = { text: 'model', param: (option) => (option === 'route' ? 'model' : undefined) }

/**
 * Makes the handler of `GET /v1/kwaai/explain`: who would compute an answer now, and why the others would not. Asks
 * `model`, by default the first, with the constraints of the field `kwaai` as the query.
 */
export function createExplainHandler(catalogue: Catalogue, retryAfterMs: number): Handler {
  return async ({ request, mayUse }) => {
    const { signal } = request
    const { id, route } = parseQuery(new URL(request.url).searchParams)
    if (id !== undefined && !mayUse(id)) throw modelNotFound(id)
    const found =
      id === undefined
        ? (await catalogue.list(request)).find(({ description }) => mayUse(description.id))
        : await catalogue.find(id, request)
    if (found === undefined) throw modelNotFound('')
    const { model, description } = found
    if (model.explain === undefined)
      throw invalid(
        `The model '${description.id}' does not choose its servers, so there is nothing to explain`,
        'model',
        'model_not_supported'
      )
    try {
      const explanation = await model.explain(route, { signal })
      return reply({ object: 'kwaai.route_explanation', model: description.id, ...explanation })
    } catch (error) {
      const refusal = refusalOf(error, retryAfterMs, words)
      throw refusal.status < 500 ? new RequestRefused(refusal, error) : error
    }
  }
}

/** A constraint that cannot be read must not be taken for one that is met. */
function parseQuery(query: URLSearchParams): { id?: string; route: RouteConstraints | undefined } {
  const given: Record<string, unknown> = {}
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name)
    if (values.length > 1 && name !== 'region') throw invalid(`'${name.slice(0, 100)}' is given twice`, name)
    const [value = ''] = values
    if (values.length > 1) given[name] = values
    // Digits alone are a number; what is none stays a text and is refused as one.
    else given[name] = numbers.has(name) && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value
  }
  const { model: id, ...rest } = given
  const result = kwaaiField.safeParse(rest)
  if (!result.success) throw refusalOfIssue(result.error.issues[0], rest)
  const route = toRoute(result.data)
  return typeof id === 'string' ? { id, route } : { route }
}
