/**
 * An HTTP handler with the routes of the W3C VC-API: issue and verify credentials, create and verify presentations. It
 * takes a `Request` and answers a `Response`, and runs wherever there are such.
 *
 * ```ts
 * import { createVcApi } from '@kwaai/identity/vc-api'
 *
 * const { fetch, issuer } = createVcApi({})
 * const response = await fetch(
 *   new Request('http://localhost/credentials/issue', {
 *     method: 'POST',
 *     headers: { 'content-type': 'application/json' },
 *     body: JSON.stringify({
 *       credential: {
 *         '@context': ['https://www.w3.org/ns/credentials/v2'],
 *         type: ['VerifiableCredential'],
 *         credentialSubject: { id: 'did:example:alice', name: 'Alice' }
 *       }
 *     })
 *   })
 * )
 * const credential = (await response.json()) as { issuer: string }
 * console.log(response.status, credential.issuer === issuer) // 201 true
 * ```
 *
 * @packageDocumentation
 */
export { createVcApi, type VcApi, type VcApiInit } from './vc-api.ts'
