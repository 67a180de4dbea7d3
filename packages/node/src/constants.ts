/** Where the API listens unless told otherwise: beside Ollama's 11434, so that both can run. */
export const defaultApiPort = 11_435

/** The API answers this machine alone. */
export const loopbackHost = '127.0.0.1'

/** What the demonstration asks: a question the default model answers with a sure first token. */
export const demoQuestion = 'What is a peer-to-peer network?'

/** Server processes of the demonstration. */
export const demoNodeCount = 3

/** Tokens the demonstration generates at most. */
export const demoMaxTokens = 160

/** How long what runs may go on once a node is asked to end. */
export const defaultDrainTimeoutMs = 20_000

/** How long a node may take to end after that: 30 s in all. */
export const stopTimeoutMs = 8_000

/** How long the demonstration waits for its servers to find each other. */
export const demoReadyTimeoutMs = 60_000

/** How long a node dials the addresses to join before people are told that none answers. */
export const joinNoteMs = 5_000
