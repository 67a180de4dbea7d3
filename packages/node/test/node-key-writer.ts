import { loadIdentity } from '../src/node-key.ts'

// Encrypts the key in a folder, and says when it begins and when it is done: for tests that kill it on the way.
const [folder = '', passphrase = ''] = process.argv.slice(2)
process.stdout.write('begin\n')
await loadIdentity(folder, { passphrase })
process.stdout.write('done\n')
