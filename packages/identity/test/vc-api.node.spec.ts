import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { createVcApi } from '@kwaai/identity/vc-api'

it('stands behind a server of node:http', async () => {
  const api = createVcApi({})
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const request = new Request(`http://localhost${incoming.url}`, {
        method: incoming.method ?? 'GET',
        headers: incoming.headers as Record<string, string>,
        body: Buffer.concat(chunks)
      })
      void api.fetch(request).then(async (response) => {
        outgoing.writeHead(response.status, Object.fromEntries(response.headers))
        outgoing.end(Buffer.from(await response.arrayBuffer()))
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const post = (path: string, body: unknown): Promise<Response> =>
      fetch(base + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
    const response = await post('/credentials/issue', {
      credential: {
        '@context': ['https://www.w3.org/ns/credentials/v2'],
        type: ['VerifiableCredential'],
        credentialSubject: { id: 'did:example:subject' }
      }
    })
    expect(response.status).toBe(201)
    const credential = (await response.json()) as Record<string, unknown>
    expect(credential['issuer']).toBe(api.issuer)
    expect((await post('/credentials/verify', { verifiableCredential: credential })).status).toBe(200)
    const forged = await post('/credentials/verify', {
      verifiableCredential: { ...credential, id: 'did:example:x' }
    })
    expect(forged.status).toBe(400)
    expect(forged.headers.get('content-type')).toBe('application/problem+json')
  } finally {
    server.close()
    server.closeAllConnections()
  }
})
