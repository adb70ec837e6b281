import { BaseSequencer, type TestSpecification } from "vitest/node"

/** Those that take longest, the longest first: whoever begins with one of them at the end waits for it alone. */
const slow = [
  "cli",
  "protocols/postgres/laws",
  "laws/handshake",
  "laws/tls",
  "peers/postgres-servers",
  "protocols/Http2.laws",
  "docs",
  "laws/codecs",
  "Codec.test",
  "testing/Laws",
  "peers",
  "examples"
]

const rank = ({ moduleId }: TestSpecification): number => {
  const found = slow.findIndex((name) => moduleId.includes(`/test/${name}`))
  return found === -1 ? slow.length : found
}

/** The slow files come first, on a new machine too. */
export class Sequence extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}
