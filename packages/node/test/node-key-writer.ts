import { loadIdentity, resealKey } from '../src/node-key.ts'

// Encrypts the key in a folder, or changes its passphrase, and says when it begins and when it is done: for tests that
// kill it on the way.
const [folder = '', passphrase = '', next] = process.argv.slice(2)
if (next === undefined) {
  process.stdout.write('begin\n')
  await loadIdentity(folder, { passphrase })
} else {
  const identity = await loadIdentity(folder, { passphrase })
  process.stdout.write('begin\n')
  await resealKey(folder, 'identity', identity, next)
}
process.stdout.write('done\n')
