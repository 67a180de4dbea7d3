import type { Random } from '@kwaai/interface'
import { routes } from './fuzz-routes.ts'
import { base } from './support/requests.ts'

/** A request that is wrong, and the answers that would be right. */
export interface Malformed {
  /** What was done to it, for whoever reads a failure. */
  what: string
  request: () => Request
  statuses: readonly number[]
}

const json = { 'content-type': 'application/json' }

/** Fields that take more than one type. Below others nothing is fixed: a schema, a record of anybody's. */
const kinds: readonly [RegExp, readonly string[] | 'any'][] = [
  [/^(messages|input)\[\d\]\.content$/, ['string', 'array']],
  [/^(stop|prompt|input|kwaai\.region)$/, ['string', 'array']],
  [/^(tool_choice|instructions)$/, ['string', 'object', 'array']],
  [/^(prompt|input)\[/, ['string', 'number', 'array', 'object']],
  [/parameters/, 'any'],
  [/^metadata/, 'any'],
  // An assistant's turn may be nothing but calls.
  [/^messages\[2\]\.content$/, ['string', 'array', 'object']]
]

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'array' : typeof value
}

/** Every path of a value, as `a.b[0].c`. */
function pathsOf(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = Array.isArray(value) ? `${at}[${key}]` : at === '' ? key : `${at}.${key}`
    return [path, ...pathsOf(inner, path)]
  })
}

function stepsOf(path: string): string[] {
  return path.split(/[.[\]]+/).filter((step) => step !== '')
}

function valueAt(root: unknown, path: string): unknown {
  return stepsOf(path).reduce((value, step) => Object(value)[step], root)
}

/** A copy with one value put somewhere else; what lies on the way has to be there. */
function withValue(body: Record<string, unknown>, path: string, value: unknown): Record<string, unknown> {
  const copy = structuredClone(body)
  const steps = stepsOf(path)
  const holder = steps.slice(0, -1).reduce((inner, step) => Object(inner)[step], copy as unknown)
  Object(holder)[steps.at(-1) as string] = value
  return copy
}

/** Makes malformed requests for ever, the same ones from the same randomness. */
export function* malformedRequests(random: Random, maxBodyBytes: number): Generator<Malformed> {
  const below = (count: number): number => Math.floor(random.next() * count)
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T
  const posts = routes.filter(({ body }) => body !== undefined)
  const text = (length: number): string =>
    Array.from({ length }, () => String.fromCharCode(pick([below(128), below(0x800), below(0x10000)]))).join(
      ''
    )
  const junk = (): unknown =>
    pick<() => unknown>([
      () => text(below(20)),
      () => random.next() * 10 ** below(300),
      () => below(2) === 1,
      () => [],
      () => ({ [text(3)]: text(3) }),
      () => [[[[text(2)]]]]
    ])()

  const post = (
    what: string,
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    statuses: readonly number[] = [400],
    headers: Record<string, string> = json
  ): Malformed => ({
    what: `${path}: ${what}`,
    statuses,
    request: () => new Request(base + path, { method: 'POST', headers, body })
  })
  const sent = (what: string, path: string, body: unknown, statuses?: readonly number[]): Malformed =>
    post(what, path, JSON.stringify(body), statuses)

  const makers: readonly (() => Malformed | undefined)[] = [
    // No JSON, or no object.
    () => {
      const { path, body } = pick(posts)
      const whole = JSON.stringify(body)
      return post('cut off', path, whole.slice(0, below(whole.length)))
    },
    () => {
      const { path, body } = pick(posts)
      const whole = JSON.stringify(body)
      const odd = pick([
        "{'model':'fake'}",
        `${whole},`,
        `${whole}}`,
        whole.replace(':', ''),
        'undefined',
        'NaN'
      ])
      return post('hardly JSON', path, odd)
    },
    () => {
      const bytes = random.bytes(1 + below(200))
      // A digit alone would be JSON, and no object either.
      return post('bytes', pick(posts).path, new Uint8Array(bytes))
    },
    () => {
      const { path, body } = pick(posts)
      const bytes = new TextEncoder().encode(JSON.stringify({ ...body, user: 'x'.repeat(20) }))
      bytes[bytes.length - 5] = 0xff
      return post('not UTF-8', path, bytes)
    },
    () => sent('no object', pick(posts).path, pick([null, 1, 'x', true, [], [{}], [pick(posts).body]])),
    // A wrong type anywhere.
    () => {
      const { path, body = {} } = pick(posts)
      const at = pick(pathsOf(body))
      const allowed = kinds.filter(([pattern]) => pattern.test(at)).map(([, kind]) => kind)
      if (allowed.includes('any')) return undefined
      const value = junk()
      if ([kindOf(valueAt(body, at)), ...allowed.flat()].includes(kindOf(value))) return undefined
      return sent(`${at} = ${JSON.stringify(value)}`, path, withValue(body, at, value))
    },
    // A value out of its range.
    () => {
      const { path, body = {}, wrong = {} } = pick(posts)
      const at = pick(Object.keys(wrong))
      const value = pick(wrong[at] as readonly unknown[])
      const shown = JSON.stringify(value).slice(0, 80)
      return sent(`${at} = ${shown}`, path, withValue(body, at, value), [400, 404])
    },
    () => {
      const { path, body, conflicts } = pick(posts)
      if (conflicts === undefined) return undefined
      const over = pick(conflicts)
      return sent(`with ${JSON.stringify(over)}`, path, { ...body, ...over })
    },
    () => {
      const { path, body = {} } = pick(posts)
      const name = pick([
        'model',
        path.includes('chat') ? 'messages' : path.includes('/completions') ? 'prompt' : 'input'
      ])
      const { [name]: _, ...rest } = body
      // OpenAI's completions begin a new document where there is no prompt, and a response may have none.
      if (name === 'prompt' || path.endsWith('/responses')) return undefined
      return sent(`without ${name}`, path, pick([rest, { ...rest, [name]: null }]))
    },
    // Numbers that no double holds, depth, width, names that mean something to a careless program.
    () => {
      const { path, body } = pick(posts)
      const odd = pick(['1e999', '-1e999', '123456789012345678901234567890.5'])
      return post(
        `temperature ${odd}`,
        path,
        JSON.stringify({ ...body, model: 5, x: 0 }).replace('"x":0', `"temperature":${odd}`)
      )
    },
    () => {
      const { path, body = {} } = pick(posts)
      const depth = 10 + below(2_500)
      const deep = pick([
        ['[', ']'],
        ['{"a":', '}']
      ]) as [string, string]
      const value = deep[0].repeat(depth) + (deep[0] === '[' ? '' : '1') + deep[1].repeat(depth)
      const name = pick(['model', 'user'])
      return post(
        `${name} ${depth} deep`,
        path,
        JSON.stringify({ ...body, [name]: 0 }).replace(`"${name}":0`, `"${name}":${value}`)
      )
    },
    () => {
      const { path, body = {} } = pick(posts)
      const name = pick(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])
      const value = JSON.stringify(
        pick<unknown>([{ polluted: true }, 1, { constructor: { prototype: { polluted: true } } }])
      )
      const at = JSON.stringify({ ...body, model: 7 })
      return post(`${name} beside`, path, `{"${name}":${value},${at.slice(1)}`)
    },
    () => {
      const { path, body } = pick(posts)
      const name = pick([
        '\ud800',
        '\udc00x',
        'fake\u0000',
        'nobody',
        '../fake',
        'FAKE',
        ' fake',
        'x'.repeat(5_000),
        '__proto__'
      ])
      return sent(`model ${JSON.stringify(name).slice(0, 40)}`, path, { ...body, model: name }, [400, 404])
    },
    // The wrong way to ask.
    () => {
      const { path } = pick(routes)
      const known = routes.filter((route) => route.path === path).map(({ method }) => method as string)
      const method = pick(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'BREW', 'PROPFIND'])
      if (known.includes(method)) return undefined
      const request = (): Request => new Request(base + path, { method })
      // An id that nobody has may be told first.
      return { what: `${method} ${path}`, request, statuses: path.includes('nowhere') ? [404, 405] : [405] }
    },
    () => {
      const { path, body } = pick(posts)
      const type = pick([
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x',
        '',
        'application/jsonp',
        'text/json'
      ])
      return post(`as ${type}`, path, JSON.stringify(body), [415], { 'content-type': type })
    },
    () => {
      const { path, body } = pick(posts)
      const encoding = pick(['gzip', 'br', 'deflate', 'zstd', 'nonsense'])
      return post(`in ${encoding}`, path, JSON.stringify(body), [415], {
        ...json,
        'content-encoding': encoding
      })
    },
    () => {
      const { path, body } = pick(posts)
      return sent('too large', path, { ...body, user: 'x'.repeat(maxBodyBytes) }, [413])
    },
    () => {
      const { path, body } = pick(posts)
      const whole = new TextEncoder().encode(JSON.stringify(body))
      const broken = (): ReadableStream =>
        new ReadableStream({
          start(controller) {
            controller.enqueue(whole.slice(0, below(whole.length)))
            controller.error(new Error('gone'))
          }
        })
      const init = { method: 'POST', headers: json, duplex: 'half' }
      return {
        what: `${path}: breaks off`,
        statuses: [400],
        request: () => new Request(base + path, { ...init, body: broken() } as RequestInit)
      }
    },
    () => {
      const path = pick([
        () => `/${encodeURIComponent(text(1 + below(30)).replaceAll(/[\ud800-\udfff]/g, ''))}`,
        () =>
          `/v1/models/${pick(['%00', '%ff', '%', '%2e%2e%2f', 'x'.repeat(4_000), 'nobody', '__proto__'])}`,
        () => `/v1/responses/${pick(['%00', '%ff', '%', 'x'.repeat(4_000), '__proto__', 'resp_'])}`,
        () =>
          pick([
            '//v1/models',
            '/v1/',
            '/V1/models',
            '/v1/models/',
            '/v1/chat/completions/x',
            '/.env',
            '/v1/messages'
          ])
      ])()
      return { what: path.slice(0, 60), request: () => new Request(base + path), statuses: [400, 404] }
    },
    // Pages of others.
    () => {
      const { method, path, body } = pick(routes)
      const headers = pick<Record<string, string>>([
        { host: 'evil.example' },
        { host: '127.0.0.1.evil.example' },
        { host: text(5).replaceAll(/[^!-~]/g, '!') },
        { origin: 'https://evil.example' },
        { origin: 'null' },
        { 'sec-fetch-site': 'cross-site' }
      ])
      const init: RequestInit = { method, headers: { ...json, ...headers } }
      if (body !== undefined) init.body = JSON.stringify(body)
      return {
        what: `${path} of ${JSON.stringify(headers)}`,
        request: () => new Request(base + path, init),
        statuses: [403]
      }
    }
  ]

  for (;;) {
    const one = pick(makers)()
    if (one !== undefined) yield one
  }
}
