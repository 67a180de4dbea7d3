import type { ConversationItem } from './objects.ts'

const prefixes: Readonly<Record<ConversationItem['type'], string>> = {
  message: 'msg_',
  function_call: 'fc_',
  function_call_output: 'fco_'
}

/**
 * The id of an item: the digits of its response, `a` for an item of its input or `b` of its output, and its number.
 * So the response an item stands in is known by the item's id, and no index of items is needed.
 */
export function itemId(
  response: string,
  place: 'input' | 'output',
  type: ConversationItem['type'],
  index: number
): string {
  const digits = response.slice('resp_'.length)
  return `${prefixes[type]}${digits}${place === 'input' ? 'a' : 'b'}${index.toString(16).padStart(4, '0')}`
}

/** The response an item stands in, where its id tells. */
export function responseOfItem(id: string): string | undefined {
  const digits = /^(?:msg|fc|fco)_([0-9a-f]{32})[ab][0-9a-f]{4}$/.exec(id)?.[1]
  return digits === undefined ? undefined : `resp_${digits}`
}
