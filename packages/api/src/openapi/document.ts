import type { Handler } from '../context.ts'
import { reply } from '../replies.ts'
import { openApiPath, type Route } from '../routes.ts'
import { errorSchema } from '../schemas.ts'
import { operations, type NamedSchema, type Operation } from './operations.ts'
import { replySchema, type JsonSchema } from './served-schema.ts'

/**
 * The description of the API in OpenAPI 3.1, made of the schemas that validate its requests. What no schema can say
 * stands in the README: that `tool_call_id` answers a call, that a model exists, that a JSON Schema can be held to.
 * @param serverUrl where it is reached, such as `http://127.0.0.1:11435`
 * @param keys whether keys are asked for
 */
export function openApiDocument(
  routes: readonly Pick<Route, 'method' | 'path'>[],
  serverUrl: string,
  keys: boolean
): Record<string, unknown> {
  const schemas: Record<string, JsonSchema> = { Error: replySchema(errorSchema) }
  const refer = ({ name, schema }: NamedSchema): JsonSchema => {
    schemas[name] ??= schema()
    return { $ref: `#/components/schemas/${name}` }
  }
  const error = {
    description: 'Refused or failed: an error object with its code.',
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } }
  }

  const describe = (operation: Operation, path: string): Record<string, unknown> => {
    const { id, summary, open, query = {}, request, event } = operation
    const content: Record<string, unknown> = {}
    if ('contentType' in operation.reply)
      content[operation.reply.contentType] = { schema: { type: 'string' } }
    else content['application/json'] = { schema: refer(operation.reply) }
    // OpenAPI 3.1 has no words for what the events of a stream carry.
    if (event !== undefined)
      content['text/event-stream'] = { schema: { type: 'string' }, 'x-event-schema': refer(event) }
    const parameters = [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' }
      })),
      ...Object.entries(query).map(([name, schema]) => ({ name, in: 'query', schema }))
    ]
    return {
      operationId: id,
      summary,
      ...(open === true && { security: [] }),
      ...(parameters.length > 0 && { parameters }),
      ...(request !== undefined && {
        requestBody: { required: true, content: { 'application/json': { schema: refer(request) } } }
      }),
      responses: { '200': { description: 'Done.', content }, default: error }
    }
  }

  const paths: Record<string, Record<string, unknown>> = {}
  for (const { method, path } of routes) {
    const address = openApiPath(path)
    const operation = operations[`${method} ${address}`]
    // The tests ask for the description, so nobody else meets this.
    if (operation === undefined) throw new TypeError(`There is no description of ${method} ${address}`)
    paths[address] = { ...paths[address], [method.toLowerCase()]: describe(operation, address) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Kwaai',
      description: 'The OpenAI API over a network of peers.',
      version: '1'
    },
    servers: [{ url: serverUrl }],
    paths,
    components: {
      schemas,
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } }
    },
    security: keys ? [{ apiKey: [] }] : []
  }
}

/** Makes the handler of `GET /openapi.json`. The description is made when it is first asked for. */
export function createOpenApiHandler(
  routes: () => readonly Pick<Route, 'method' | 'path'>[],
  keys: boolean
): Handler {
  let document: Record<string, unknown> | undefined
  return async ({ request }) => {
    const { origin } = new URL(request.url)
    document ??= openApiDocument(routes(), origin, keys)
    return reply({ ...document, servers: [{ url: origin }] })
  }
}
