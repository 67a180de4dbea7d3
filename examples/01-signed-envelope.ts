// A signature that is valid for one purpose and no other.
import { createIdentity, open, seal } from '@kwaai/identity'

const alice = createIdentity()
const text = new TextEncoder().encode('The river is clean.')

// The context names protocol and purpose, and is signed with the payload.
const bytes = await seal(alice, 'example/note/1', text)

// Bytes may come from anywhere: opening checks the signature over exactly the bytes received.
const { payload, signer } = await open(bytes, { context: 'example/note/1' })
console.log(`${signer} wrote: ${new TextDecoder().decode(payload)}`)

const reused = await open(bytes, { context: 'example/order/1' }).then(
  () => 'accepted',
  (error: { code: string }) => error.code
)
console.log(`The same bytes shown as an order: ${reused}`)

bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1
const forged = await open(bytes, { context: 'example/note/1' }).then(
  () => 'accepted',
  (error: { code: string }) => error.code
)
console.log(`The same bytes with one bit turned: ${forged}`)

/* Prints
did:key:… wrote: The river is clean.
The same bytes shown as an order: ERR_IDENTITY_WRONG_CONTEXT
The same bytes with one bit turned: ERR_IDENTITY_BAD_SIGNATURE
*/
