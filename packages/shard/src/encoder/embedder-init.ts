import type { Clock } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import type { BertConfig } from './bert-config.ts'
import type { EncoderFormat } from './bert-weights.ts'
import type { WasmPaths } from './session.ts'

/** How an embedder is made. */
export interface OnnxEmbedderInit {
  /** The name of the weights, such as `all-minilm-l6-v2`; token limit and format are added to make the id. */
  name: string
  /**
   * Tokens of a text at most, `[CLS]` and `[SEP]` included; part of the id. Default 256, what all-MiniLM-L6-v2 was
   * made for (its `sentence_bert_config.json`).
   */
  maxTokens?: number
  /** How weights are stored, part of the id: `f32`, or `f16` for half the memory. Default `f32`. */
  format?: EncoderFormat
  /** Threads that compute. Default 1. */
  threads?: number
  /** Tokens, padding included, of texts that run together. Default 1,024. */
  maxBatchTokens?: number
  /** Requests under way at once; more are `ERR_MODEL_UNAVAILABLE`. Default 64. */
  maxRequests?: number
  /** Texts of a request at most. Default 2,048. */
  maxTexts?: number
  /** Characters of a text that are looked at at most. Default 65,536. */
  maxCharacters?: number
  /** In browsers: where ONNX Runtime's files lie. Default: beside its module. */
  wasmPaths?: WasmPaths
  /** Seconds since 1970 UTC. Default: now. */
  created?: number
  /** Default `kwaai`. */
  ownedBy?: string
}

/** An {@link OnnxEmbedderInit} with every default filled in, checked. */
export interface EmbedderSettings {
  id: string
  created: number
  ownedBy: string
  format: EncoderFormat
  threads: number
  maxTokens: number
  maxBatchTokens: number
  maxRequests: number
  limits: { maxTexts: number; maxCharacters: number }
}

/** Tokens of a text at most, where nothing else is asked for. */
export const defaultMaxTokens: number = 256
const formats: ReadonlySet<string> = new Set(['f32', 'f16'])
const maxNameCharacters = 128

/** @throws A KwaaiError `ERR_ENCODER_INVALID_INIT` (`details.option`) for an option out of range. */
export function checkEmbedderInit(
  init: OnnxEmbedderInit,
  config: BertConfig,
  clock: Clock
): EmbedderSettings {
  const { name, format = 'f32' } = init
  if (typeof name !== 'string' || !/^[\w.:/-]+$/.test(name) || name.length > maxNameCharacters)
    throw invalid('name', `it is no name of up to ${maxNameCharacters} letters, digits and -._:/`)
  if (!formats.has(format)) throw invalid('format', 'it is neither f32 nor f16')
  const count = (option: keyof OnnxEmbedderInit, usual: number, least: number, most: number): number => {
    const value = init[option] ?? usual
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most)
      throw invalid(option, `it is no whole number from ${least} to ${most}`)
    return value
  }
  const usualTokens = Math.min(defaultMaxTokens, config.maxPositions)
  const maxTokens = count('maxTokens', usualTokens, 3, config.maxPositions)
  return {
    id: `${name}-${maxTokens}-${format}`,
    created: count('created', Math.floor(clock.now() / 1000), 0, Number.MAX_SAFE_INTEGER),
    ownedBy: init.ownedBy ?? 'kwaai',
    format,
    threads: count('threads', 1, 1, 256),
    maxTokens,
    maxBatchTokens: count('maxBatchTokens', 1_024, 1, 65_536),
    maxRequests: count('maxRequests', 64, 1, 65_536),
    limits: {
      maxTexts: count('maxTexts', 2_048, 1, 65_536),
      maxCharacters: count('maxCharacters', 65_536, 1, 2 ** 27)
    }
  }
}

function invalid(option: string, why: string): Error {
  return shardError('ERR_ENCODER_INVALID_INIT', `Cannot make the embedder: ${option} is wrong: ${why}`, {
    details: { option }
  })
}
