import type { ProvenanceRecord, VerifiedProvenance } from '@kwaai/api'
import { KwaaiError } from '@kwaai/interface'
import { nodeError } from '../errors.ts'
import type { Command } from './command.ts'
import { readInput } from './input.ts'
import { jsonText, printable } from './terminal.ts'

/** `kwaai verify` */
export const verify: Command = {
  name: 'verify',
  summary: 'Check who computed an answer: a file that GET /v1/kwaai/provenance/<id> gave',
  usage: '<file, or - for standard input> [options]',
  options: {
    signer: { type: 'string', value: '<did>', describe: 'The only signer to believe, such as did:key:z6Mk…' },
    json: { type: 'boolean', describe: 'Print one JSON object, also where a check fails' }
  },
  maxPositionals: 1,
  async run(options, io) {
    const [file] = options.positionals
    if (file === undefined) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        'Cannot verify nothing: name a file, or - for standard input. "kwaai verify --help" shows the usage'
      )
    }
    const bytes = await readInput(file, io)
    const signer = options.text('signer')
    const { verifyProvenance } = await import('@kwaai/api')
    try {
      const verified = await verifyProvenance(bytes, signer === undefined ? {} : { signer })
      io.stdout.write(
        options.flag('json') ? `${jsonText({ valid: true, ...verified })}\n` : provenanceText(verified)
      )
      return 0
    } catch (error) {
      if (!options.flag('json') || !KwaaiError.is(error)) throw error
      const { code, message } = error
      io.stdout.write(`${jsonText({ valid: false, code, message })}\n`)
      return 1
    }
  }
}

/** Who computed what, for people. */
function provenanceText({ record, signer }: VerifiedProvenance): string {
  const { model, usage } = record
  const rows: [string, string][] = [
    ['Signed by', signer],
    ['Answer', `${record.id}, ${record.kind}, ${new Date(record.created * 1000).toISOString()}`],
    ['Model', `${model.id}${model.sha256 === undefined ? '' : ` (SHA-256 ${model.sha256})`}`],
    ['Ended', [record.outcome, record.finishReason].filter(Boolean).join(', ')]
  ]
  if (usage !== undefined) {
    const cached = usage.cachedTokens === 0 ? '' : ` (${usage.cachedTokens} from a cache)`
    rows.push(['Tokens', `${usage.promptTokens}${cached} + ${usage.completionTokens}`])
  }
  rows.push(['Took', tookText(record)])
  for (const hop of record.hops ?? []) rows.push(['Computed', hopText(hop)])
  if (record.disclosed === 'unknown') rows.push(['Left the node', 'unknown'])
  else if (record.disclosed.length === 0) rows.push(['Left the node', 'nothing'])
  else {
    for (const { data, of, peer, from } of record.disclosed) {
      const what =
        data === 'token-embeddings' ? 'token embeddings (as good as the text)' : `rows before block ${from}`
      rows.push(['Left the node', `${what} of the ${of.join(' and the ')}, to ${peer}`])
    }
  }
  if (record.relaxed !== undefined) rows.push(['Given up', record.relaxed.join(', ')])
  if (record.receipt !== undefined) rows.push(['Receipt', record.receipt])
  const width = Math.max(...rows.map(([name]) => name.length))
  // A name with a line feed in it could show a row of its own, such as another signer.
  const oneLine = (value: string): string => printable(value.replace(/[\t\n]/g, '\ufffd'))
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${oneLine(value)}\n`)
  return `Every check holds: the record is the one that was signed.\n${lines.join('')}`
}

function tookText({ firstTokenMs, durationMs }: ProvenanceRecord): string {
  const first = firstTokenMs === undefined ? '' : `, the first text after ${Math.round(firstTokenMs)} ms`
  return `${Math.round(durationMs)} ms${first}`
}

function hopText(hop: NonNullable<ProvenanceRecord['hops']>[number]): string {
  const took = hop.computeMs === undefined ? '' : `, ${Math.round(hop.computeMs)} ms as it says`
  return `blocks ${hop.from} to ${hop.to - 1} by ${hop.peer} (${hop.numericsClass})${took}`
}
