import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { Tally } from "./test/support/tally.ts"

const src = fileURLToPath(new URL("src", import.meta.url))

export default defineConfig({
  resolve: {
    // Tests and documentation import the package by its name, and get the sources.
    alias: [
      { find: /^effect-handshake$/, replacement: `${src}/index.ts` },
      { find: /^effect-handshake\/(.+)$/, replacement: `${src}/$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    reporters: ["default", new Tally()]
  }
})
