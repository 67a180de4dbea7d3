/// <reference path="../../packages/identity/test/digitalbazaar.d.ts" />
