import type { GrammarVocabulary } from '../generate/grammar.ts'
import { wordBytes, type Automaton, type State } from './automaton.ts'

/** The tokens of a vocabulary as a tree of their bytes, its nodes in the order of a walk. */
export interface TokenTree {
  readonly size: number
  /** Of each node: its byte, how deep it is (the first byte is 1), and the node after all below it. */
  readonly byte: Uint8Array
  readonly depth: Uint16Array
  readonly after: Uint32Array
  /** Of each node: where its tokens begin in `tokens`; one more entry than nodes. */
  readonly tokensFrom: Uint32Array
  readonly tokens: Uint32Array
  /** Of each node below which (and at which) all bytes are letters, digits and spaces: how many levels; else 0. */
  readonly words: Uint16Array
  readonly deepest: number
}

/** Bytes of a token at most; longer ones are never let in. */
const maxTokenBytes = 1024

/** The tree of all tokens that stand for text. */
export function createTokenTree(vocabulary: GrammarVocabulary): TokenTree {
  const { size } = vocabulary
  const texts: { token: number; bytes: Uint8Array; order: string }[] = []
  let total = 0
  for (let token = 0; token < size; token++) {
    if (vocabulary.isControl(token) || vocabulary.endTokens.has(token)) continue
    const bytes = vocabulary.bytes(token)
    if (bytes.length === 0 || bytes.length > maxTokenBytes) continue
    texts.push({ token, bytes, order: String.fromCharCode(...bytes) })
    total += bytes.length
  }
  // As text with a character a byte: strings are compared faster than arrays, and in the same order.
  texts.sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : a.token - b.token))
  const byte = new Uint8Array(total)
  const depth = new Uint16Array(total)
  const after = new Uint32Array(total)
  const tokensFrom = new Uint32Array(total + 1)
  const tokens = new Uint32Array(texts.length)
  const open: number[] = []
  let nodes = 0
  let deepest = 0
  let before: Uint8Array = new Uint8Array()
  for (const [index, { token, bytes }] of texts.entries()) {
    let shared = 0
    while (shared < before.length && shared < bytes.length && before[shared] === bytes[shared]) shared++
    while (open.length > shared) after[open.pop() as number] = nodes
    for (let at = shared; at < bytes.length; at++) {
      byte[nodes] = bytes[at] as number
      depth[nodes] = at + 1
      tokensFrom[nodes] = index
      open.push(nodes++)
    }
    deepest = Math.max(deepest, bytes.length)
    tokens[index] = token
    before = bytes
  }
  for (const node of open) after[node] = nodes
  tokensFrom[nodes] = texts.length
  const words = new Uint16Array(nodes)
  // From the last node on, so that what is below a node is known before the node itself.
  for (let node = nodes - 1; node >= 0; node--) {
    let height = wordBytes[byte[node] as number] === true ? 1 : 0
    const end = after[node] as number
    for (let child = node + 1; child < end && height > 0; child = after[child] as number) {
      const below = words[child] as number
      height = below === 0 ? 0 : Math.max(height, below + 1)
    }
    words[node] = height
  }
  return {
    size,
    byte: byte.slice(0, nodes),
    depth: depth.slice(0, nodes),
    after: after.slice(0, nodes),
    tokensFrom: tokensFrom.slice(0, nodes + 1),
    tokens,
    words,
    deepest
  }
}

/** A bit each for the tokens that may follow at a state. */
export function tokenMask(tree: TokenTree, automaton: Automaton, state: State): Int32Array {
  const { byte, depth, after, tokensFrom, tokens, words } = tree
  const { classOf } = automaton
  const mask = new Int32Array(Math.ceil(tree.size / 32))
  const allow = (token: number): void => {
    mask[token >> 5] = (mask[token >> 5] as number) | (1 << (token & 31))
  }
  const path: State[] = Array.from({ length: tree.deepest + 1 }, () => state)
  for (let node = 0; node < byte.length;) {
    const level = depth[node] as number
    const from = path[level - 1] as State
    const height = words[node] as number
    if (height > 0 && height <= automaton.wordRun(from)) {
      // Most of a vocabulary is words, and where any word may stand they need not be looked at one by one.
      const end = tokensFrom[after[node] as number] as number
      for (let at = tokensFrom[node] as number; at < end; at++) allow(tokens[at] as number)
      node = after[node] as number
      continue
    }
    const byteClass = classOf[byte[node] as number] as number
    let to = from.next[byteClass]
    if (to === undefined) to = automaton.step(from, byteClass)
    if (to === null) {
      node = after[node] as number
      continue
    }
    path[level] = to
    const end = tokensFrom[node + 1] as number
    for (let at = tokensFrom[node] as number; at < end; at++) allow(tokens[at] as number)
    node++
  }
  return mask
}
