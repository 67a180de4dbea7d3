import { parseJson } from '@kwaai/identity'
import { present, verify, type Credential } from '@kwaai/identity/vc'
import { systemClock } from '@kwaai/interface/memory'
import { readAtMost } from '../credentials/fetch-document.ts'
import { verifyOptions } from '../credentials/verifying.ts'
import { nodeError } from '../errors.ts'
import { jsonText, printable } from './terminal.ts'
import { credentialLines } from './vc-verify.ts'
import { idOf, type VcVerb } from './vc-verb.ts'

const maxAnswerBytes = 1 << 20
const timeoutMs = 30_000

type Json = Record<string, unknown>

async function call(url: URL, body: object, signal: AbortSignal): Promise<{ status: number; answer: Json }> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'error',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    })
    const bytes = response.body === null ? new Uint8Array() : await readAtMost(response.body, maxAnswerBytes)
    const answer = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof answer === 'object' && answer !== null && !Array.isArray(answer)) {
      return { status: response.status, answer: answer as Json }
    }
    throw new Error('it answers with no JSON object')
  } catch (cause) {
    signal.throwIfAborted()
    const why = cause instanceof Error ? cause.message : String(cause)
    throw nodeError('ERR_NODE_ISSUER_REFUSED', `Cannot ask the issuer at ${url.href}: ${why}`, { cause })
  }
}

function messageOf({ error, refused }: Json): string {
  const reasons = Array.isArray(refused)
    ? (refused as { message?: unknown }[]).map(({ message }) => message)
    : []
  const told = (error as { message?: unknown } | undefined)?.message
  return [told, ...reasons].filter((text) => typeof text === 'string').join('; ') || 'it gives no reason'
}

/** `kwaai vc request`: asks an issuer that watches for what it has seen of this node. */
export const request: VcVerb = {
  options: {},
  minArgs: 1,
  maxArgs: 1,
  async run(context) {
    const { args, options, io, folder } = context
    const text = args[0] as string
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        `Cannot ask ${printable(text)}: expected the URL of an issuer`
      )
    }
    const base = text.replace(/\/$/, '')
    const type = options.text('type')
    const holder = await context.identity()
    const { answer: asked } = await call(new URL(`${base}/challenge`), {}, io.signal)
    const { challenge, domain } = asked
    // The domain that is signed is the one that was dialled: another server cannot pass the signature on.
    if (typeof challenge !== 'string' || domain !== base) {
      throw nodeError(
        'ERR_NODE_ISSUER_REFUSED',
        `Cannot ask the issuer at ${base}: it says that it is ${printable(String(domain))}. Ask it there`
      )
    }
    const presentation = await present([], holder, { challenge, domain: base, now: systemClock.now() })
    const body = { presentation, ...(type === undefined ? {} : { types: [type] }) }
    const { status, answer } = await call(new URL(`${base}/credentials`), body, io.signal)
    const credentials = Array.isArray(answer['credentials']) ? (answer['credentials'] as Credential[]) : []
    if (credentials.length === 0) {
      throw nodeError(
        'ERR_NODE_ISSUER_REFUSED',
        `The issuer at ${base} gives nothing: ${messageOf(answer)}`,
        {
          details: { status }
        }
      )
    }
    const kept = []
    for (const credential of credentials.slice(0, 16)) {
      const result = await verify(credential, { ...verifyOptions(), holder: holder.did, signal: io.signal })
      const failed = result.checks.find((check) => check.required && !check.ok)
      if (!result.ok) {
        throw nodeError(
          'ERR_NODE_CREDENTIAL_INVALID',
          `Cannot keep what the issuer at ${base} gives: its ${failed?.name ?? 'structure'} does not hold. ${failed?.message ?? ''}`
        )
      }
      kept.push(await folder.keep(credential, 'imported', { signal: io.signal }))
    }
    const refused = answer['refused'] ?? []
    if (options.flag('json')) io.stdout.write(`${jsonText({ kept, refused })}\n`)
    else {
      for (const { id, credential } of kept) {
        io.stdout.write(
          `Kept as ${id}, by ${printable(idOf(credential.issuer))}\n${credentialLines(credential).join('\n')}\n`
        )
      }
      if (Array.isArray(refused) && refused.length > 0)
        io.stderr.write(`${printable(messageOf(answer).replace(/[\t\n]/g, '\ufffd'))}\n`)
    }
    return 0
  }
}
