import type { Catalogue } from './catalogue.ts'
import type { Handler } from './context.ts'
import { modelNotFound } from './refusals.ts'
import { reply } from './replies.ts'
import { modelObject } from './responses.ts'

/** Makes the handler of `GET /v1/models`: those that the caller may use. */
export function createModelsHandler(catalogue: Catalogue): Handler {
  return async ({ request, mayUse }) => {
    const entries = await catalogue.list(request.signal)
    const usable = entries.filter(({ description }) => mayUse(description.id))
    return reply({ object: 'list', data: usable.map(({ description }) => modelObject(description)) })
  }
}

/** Makes the handler of `GET /v1/models/{id}`. */
export function createModelHandler(catalogue: Catalogue): Handler {
  return async ({ request, params, mayUse }) => {
    const id = params['id'] ?? ''
    const { description } = await catalogue.find(id, request.signal)
    if (!mayUse(description.id)) throw modelNotFound(id)
    return reply(modelObject(description))
  }
}
