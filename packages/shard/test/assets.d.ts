// The address of a file, as Vite hands it to pages.
declare module '*.wasm?url' {
  const url: string
  export default url
}
