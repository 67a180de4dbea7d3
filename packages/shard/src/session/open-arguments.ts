/** The command of an authorizer: to open a session. */
export const openCommand = 'shard/open'

/** What an authorizer is told of a session: the hash of the model, the blocks, and the rows there is to be room for. */
export function openArguments(open: {
  modelHash: string
  from: number
  to: number
  maxTokens: number
}): Readonly<Record<string, unknown>> {
  return { model: open.modelHash, from: open.from, to: open.to, maxTokens: open.maxTokens }
}
