import '../src/types/digitalbazaar.d.ts'
