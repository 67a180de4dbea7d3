import type { Catalogue, CatalogueEntry, EmbedderEntry } from './catalogue.ts'
import type { Handler } from './context.ts'
import { modelNotFound } from './refusals.ts'
import { reply } from './replies.ts'
import { embedderObject, modelObject, type EmbedderObject, type ModelObject } from './responses.ts'

/** Makes the handler of `GET /v1/models`: those that the caller may use, the ones that chat first. */
export function createModelsHandler(catalogue: Catalogue): Handler {
  return async ({ request, mayUse }) => {
    const [models, embedders] = await Promise.all([catalogue.list(request), catalogue.embedders(request)])
    const usable = [...models, ...embedders].filter(({ description }) => mayUse(description.id))
    return reply({ object: 'list', data: usable.map(objectOf) })
  }
}

/** Makes the handler of `GET /v1/models/{id}`. */
export function createModelHandler(catalogue: Catalogue): Handler {
  return async ({ request, params, mayUse }) => {
    const id = params['id'] ?? ''
    if (!mayUse(id)) throw modelNotFound(id)
    return reply(objectOf(await catalogue.findAny(id, request)))
  }
}

function objectOf(entry: CatalogueEntry | EmbedderEntry): ModelObject | EmbedderObject {
  return 'model' in entry ? modelObject(entry.description) : embedderObject(entry.description)
}
