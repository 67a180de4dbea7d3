import { present as presentCredentials } from '@kwaai/identity/vc'
import { systemClock } from '@kwaai/interface/memory'
import { nodeError } from '../errors.ts'
import { printable } from './terminal.ts'
import { idOf, note, writeDocument, type VcVerb } from './vc-verb.ts'

const maxCredentials = 32

/** `kwaai vc present` */
export const present: VcVerb = {
  options: {
    'for-others': { type: 'boolean', describe: 'present: also credentials that are about somebody else' }
  },
  minArgs: 1,
  maxArgs: maxCredentials,
  async run(context) {
    const { args, options, io, folder } = context
    const [challenge, domain] = [options.text('challenge'), options.text('domain')]
    if (challenge === undefined || domain === undefined) {
      throw nodeError(
        'ERR_NODE_INVALID_OPTION',
        'Cannot present it for no occasion: whoever gets it could show it elsewhere. Give the --challenge and the --domain that the verifier named'
      )
    }
    const holder = await context.identity()
    const credentials = []
    for (const id of args) {
      const { credential } = await folder.find(id, { signal: io.signal })
      if (!options.flag('for-others') && idOf(credential.credentialSubject) !== holder.did) {
        throw nodeError(
          'ERR_NODE_CREDENTIAL_INVALID',
          `Cannot present ${printable(id)}: it is not about ${holder.did}, and verifiers refuse that. --for-others presents it all the same`
        )
      }
      credentials.push(credential)
    }
    const presentation = await presentCredentials(credentials, holder, {
      challenge,
      domain,
      now: systemClock.now()
    })
    const entry = { kind: 'credential/presented', subject: holder.did, data: { ids: args, domain } }
    await folder.record(entry, { signal: io.signal })
    writeDocument(context, presentation)
    note(context, `Signed for ${domain}; good for this challenge alone.`)
    return 0
  }
}
