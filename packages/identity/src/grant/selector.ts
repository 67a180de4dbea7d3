import type { JsonValue } from '../json.ts'
import { MAX_SELECTOR_LENGTH } from './limits.ts'

/** One step of a selector; `optional` gives null where the step fails. */
export type SelectorStep = { optional: boolean } & (
  | { kind: 'field'; name: string }
  | { kind: 'index'; index: number }
  | { kind: 'slice'; from: number | undefined; to: number | undefined }
  | { kind: 'values' }
)

/** What a selector finds; `undefined` where there is nothing. */
export type Selected = { value: JsonValue } | undefined

// A dotted name; `["any name"]`; `[1]`, `[-1]`; `[1:3]`; `[]`. A dot may stand before a bracket.
const step =
  /(?:\.([A-Za-z_][A-Za-z0-9_]*)|\.?\[(?:("(?:[^"\\]|\\.)*")|(-?\d{1,9})|(-?\d{1,9})?(:)(-?\d{1,9})?|)\])(\?*)/y

/**
 * Reads a selector (UCAN Delegation 1.0.0-rc.1, Selectors): it begins with a dot.
 *
 * @returns `undefined` for what is none.
 */
export function parseSelector(text: string): readonly SelectorStep[] | undefined {
  if (text.length > MAX_SELECTOR_LENGTH || !text.startsWith('.')) return undefined
  if (/^\.\?*$/.test(text)) return []
  const steps: SelectorStep[] = []
  for (let at = 0; at < text.length; at = step.lastIndex) {
    step.lastIndex = at
    const found = step.exec(text)
    if (found === null) return undefined
    const [, dotted, quoted, index, from, colon, to, marks] = found
    const optional = marks !== ''
    if (dotted !== undefined) steps.push({ kind: 'field', name: dotted, optional })
    else if (quoted !== undefined) {
      const name = readString(quoted)
      if (name === undefined) return undefined
      steps.push({ kind: 'field', name, optional })
    } else if (index !== undefined) steps.push({ kind: 'index', index: Number(index), optional })
    else if (colon !== undefined) {
      steps.push({ kind: 'slice', from: numberOf(from), to: numberOf(to), optional })
    } else steps.push({ kind: 'values', optional })
  }
  return steps
}

function readString(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string
  } catch {
    return undefined
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}

/**
 * Follows a selector from left to right. A name that a map lacks gives null; whatever else is not there gives
 * nothing, and null where the step is optional.
 */
export function resolveSelector(steps: readonly SelectorStep[], value: JsonValue): Selected {
  let current: JsonValue = value
  for (const each of steps) {
    const next = follow(each, current)
    if (next === undefined && !each.optional) return undefined
    current = next ?? null
  }
  return { value: current }
}

function follow(each: SelectorStep, value: JsonValue): JsonValue | undefined {
  if (each.kind === 'field') {
    if (!isMap(value)) return undefined
    return Object.hasOwn(value, each.name) ? (value[each.name] as JsonValue) : null
  }
  if (each.kind === 'values') {
    return Array.isArray(value)
      ? (value as readonly JsonValue[])
      : isMap(value)
        ? Object.values(value)
        : undefined
  }
  if (!Array.isArray(value)) return undefined
  const list = value as readonly JsonValue[]
  return each.kind === 'index' ? list.at(each.index) : list.slice(each.from, each.to)
}

/** True for an object that is no list. */
export function isMap(value: JsonValue): value is { readonly [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
