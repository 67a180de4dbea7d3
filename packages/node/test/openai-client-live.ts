import type OpenAI from 'openai'

/** A live chain and a client of it. */
export interface LiveChain {
  client: OpenAI
  /** Where the API is, `/v1` included. */
  baseURL: string
  fetch: typeof fetch
  /** The id of the language model. */
  model: string
  /** The id of the embedding model. */
  embedder: string
  /** What shows to the API that this machine's user asks. */
  token(): Promise<string>
  /** Sessions that the servers of the chain hold for this client now. */
  sessions(): Promise<number>
  /** Rows that the servers of the chain have computed. */
  rows(): Promise<number>
}

/** The chain, once it runs. */
export type Live = () => LiveChain
