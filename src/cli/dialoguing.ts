/**
 * What `dialogue` and `dialogue compare` do.
 *
 * @internal
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Dialogue from "../Dialogue.ts"
import * as Flags from "./flags.ts"
import * as Modules from "./modules.ts"
import * as TlsFlags from "./tls.ts"

type Format = "outline" | "mermaid" | "svg" | "markdown" | "json"

/** A dialogue, or a snapshot of one where the file is JSON. */
const versionOf = Effect.fnUntraced(function*(written: string) {
  if (!written.endsWith(".json")) return yield* Modules.load(written)
  const text = yield* TlsFlags.read(written)
  const parsed = yield* Effect.try({
    try: () => JSON.parse(text) as unknown,
    catch: (cause) => `cannot use ${written}: ${cause instanceof Error ? cause.message : String(cause)}`
  }).pipe(Effect.catch((problem) => Flags.failing(problem, 66)))
  const snapshot = Dialogue.parseSnapshot(parsed)
  return Result.isSuccess(snapshot)
    ? snapshot.success
    : yield* Flags.failing(`cannot use ${written}: ${snapshot.failure.message}`, 66)
})

const isSnapshot = (version: Dialogue.Any | Dialogue.Snapshot): version is Dialogue.Snapshot => "version" in version

const printed = (version: Dialogue.Any | Dialogue.Snapshot, format: Format): string => {
  switch (format) {
    case "outline":
      return Dialogue.outline(version)
    case "mermaid":
      return Dialogue.diagram(version)
    case "svg":
      return Dialogue.svg(version)
    case "markdown":
      return Dialogue.document(version)
    case "json":
      return JSON.stringify(isSnapshot(version) ? version : Dialogue.snapshot(version), null, 2)
  }
}

export const show = (written: string, format: Format) =>
  Effect.flatMap(versionOf(written), (version) => Console.log(printed(version, format).trimEnd()))

export const compare = Effect.fnUntraced(function*(older: string, newer: string) {
  const comparison = Dialogue.compare(yield* versionOf(older), yield* versionOf(newer))
  yield* Console.log(Dialogue.formatComparison(comparison).trimEnd())
  if (!comparison.isCompatible) return yield* new Flags.Exited({ code: 1 })
})
