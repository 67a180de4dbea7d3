import { createFileStore } from '../src/store/file-store.ts'

// Keeps numbered pairs until it is killed, and says of each that it is kept: `<name>-<n>`.
const [path, name, count] = process.argv.slice(2) as [string, string, string]
const store = createFileStore({ path })
for (let n = 0; n < Number(count); n++) {
  const value = new Uint8Array(5_000).fill(n)
  await store.batch([
    { type: 'put', key: `${name}/a/${n}`, value },
    { type: 'put', key: `${name}/b/${n}`, value },
    { type: 'put', key: `${name}/latest`, value },
    { type: 'delete', key: `${name}/b/${n - 1}` }
  ])
  process.stdout.write(`${n}\n`)
}
await store[Symbol.asyncDispose]()
