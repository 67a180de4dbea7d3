import type { ChainHop } from '@kwaai/interface'
import {
  MAX_CHAIN_HOPS,
  MAX_IGNORED_NAME_LENGTH,
  MAX_IGNORED_NAMES,
  MAX_RECEIPT_LENGTH
} from './constants.ts'

/** Fields that were ignored. Header values are ASCII and finite; names of fields are neither by nature. */
export function ignoredHeader(names: readonly string[]): Record<string, string> {
  if (names.length === 0) return {}
  const shown = names
    .slice(0, MAX_IGNORED_NAMES)
    .map((name) => name.slice(0, MAX_IGNORED_NAME_LENGTH).replace(/[^\w.[\]-]/g, '?'))
  return { 'x-kwaai-ignored': shown.join(', ') }
}

// The end of a peer id: all begin alike, with the type of their key.
const peerCharacters = 8

/**
 * Who computed which blocks, as `peer:from-to` in the order of the chain, `to` being one past the last block; of
 * a peer the last eight characters. Peers choose their names, so nothing but letters, digits, `_`, `-` gets in.
 */
export function chainHeader(chain: readonly ChainHop[]): Record<string, string> {
  if (chain.length === 0) return {}
  const shown = chain
    .slice(0, MAX_CHAIN_HOPS)
    .map(({ peer, from, to }) => `${peer.slice(-peerCharacters).replace(/[^\w-]/g, '?')}:${from}-${to}`)
  if (chain.length > shown.length) shown.push(`+${chain.length - shown.length}`)
  return { 'x-kwaai-chain': shown.join(', ') }
}

/** The receipt of a meter, where it is one that fits a header. */
export function receiptHeader(receipt: string | undefined): Record<string, string> {
  if (receipt === undefined || receipt.length > MAX_RECEIPT_LENGTH || !/^[\x21-\x7e]+$/.test(receipt))
    return {}
  return { 'x-kwaai-receipt': receipt }
}
