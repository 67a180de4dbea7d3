// Says kindly what is missing before anything cryptic can happen: the sources run as TypeScript,
// which Node.js does without a flag from 22.18 on.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Kwaai's sources need Node.js 22.18 or newer; this is ${process.version}. ` +
      'On Linux the lockfile brings its own: run "npm start" or "npm test" from the top folder.'
  )
  process.exit(1)
}
