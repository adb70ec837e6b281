/**
 * Every dialogue that there is understands itself: those of the tests, of the examples, of the documentation and of the protocols.
 */
import { assert, it } from "@effect/vitest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Dialogue from "../../src/Dialogue.ts"
import { declaredIn, documented, glob, nameOf, read } from "../support/docs.ts"

const isDialogue = (value: unknown): value is Dialogue.Any =>
  Predicate.hasProperty(value, "dialogue") && Predicate.hasProperty(value.dialogue, "states")

const dialoguesIn = (value: unknown, depth = 0): ReadonlyArray<Dialogue.Any> =>
  isDialogue(value)
    ? [value]
    : depth < 3 && Predicate.isObject(value)
    ? Object.values(value).flatMap((inner) => dialoguesIn(inner, depth + 1))
    : []

const isOfDialogue = (code: string): boolean => /Dialogue\.make[<(]/.test(code)

/** What a suite declares within its tests is not loaded, nor is what it takes from elsewhere. */
const isAtTop = (file: string): boolean =>
  !file.endsWith(".test.ts") || /^(?:class|const) .*Dialogue\.make[<(]/m.test(read(file))

const sources = [
  ...["test/dialogue/**/*.ts", "test/support/*.ts", "examples/**/*.ts", "src/protocols/**/*.ts"].flatMap(glob)
    .filter((file) => isAtTop(file) && isOfDialogue(read(file)))
    .map((file) => ({ name: file, file, line: 0, code: read(file) })),
  ...documented().filter(({ code }) => isOfDialogue(code))
    .map((fence) => ({ name: nameOf(fence), file: fence.file, line: fence.line, code: fence.code }))
]

for (const { code, file, line, name } of sources) {
  it(`of ${name}`, async () => {
    for (const dialogue of dialoguesIn({ ...await declaredIn(file, line, code) })) {
      const words = Dialogue.formatComparison(Dialogue.compare(dialogue, dialogue))
      assert.isTrue(Dialogue.compare(dialogue, dialogue).isCompatible, words)
      const kept: unknown = JSON.parse(JSON.stringify(Dialogue.snapshot(dialogue)))
      const snapshot = Result.getOrThrow(Dialogue.parseSnapshot(kept))
      assert.isTrue(Dialogue.compare(snapshot, dialogue).isCompatible, words)
      assert.isTrue(Dialogue.compare(dialogue, snapshot).isCompatible, words)
    }
  })
}
