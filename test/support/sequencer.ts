import { relative } from "node:path"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** What lasts longest, the longest first. */
const long = [
  "test/laws/tls.test.ts",
  "test/protocols/Http2.laws.test.ts",
  "test/laws/vault.test.ts",
  "test/protocols/postgres/laws/trust.test.ts",
  "test/cli.workers.test.ts",
  "test/protocols/postgres/laws/scram.test.ts",
  "test/laws/handshake.test.ts",
  "test/laws/gallery.test.ts",
  "test/docs.test.ts",
  "test/Codec.test.ts",
  "test/protocols/postgres/laws/md5.test.ts",
  "test/protocols/postgres/laws/password.test.ts",
  "test/laws/codecs.test.ts",
  "test/protocols/Postgres.tls.test.ts",
  "test/testing/Laws.test.ts",
  "test/laws/shapes.test.ts",
  "test/dialogue/shapes.test.ts",
  "test/dialogue/gallery.test.ts",
  "test/laws/fastPath.test.ts",
  "test/examples.test.ts",
  "test/peers/infrastructure.test.ts",
  "test/peers/postgres-servers.test.ts",
  "test/compiler.test.ts",
  "test/bench.test.ts",
  "test/linear.test.ts",
  "test/protocols/postgres/codecs.test.ts",
  "test/conformance/sockets.test.ts",
  "test/Codec.gen.test.ts",
  "test/inside.test.ts"
]

/**
 * Begins with what lasts long, so that nobody waits for it alone in the end. Vitest does so by itself where it has run the
 * tests before; in a fresh clone it goes by the sizes of the files, and the laws are a few lines that last a minute.
 */
export class LongFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const place = ({ moduleId, project }: TestSpecification) => {
      const at = long.indexOf(relative(project.config.root, moduleId).replaceAll("\\", "/"))
      return at === -1 ? long.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b))
  }
}
