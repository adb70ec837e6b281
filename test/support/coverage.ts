/**
 * What the laws of a handshake have tried.
 */
import * as Effect from "effect/Effect"
import { afterAll, expect, it } from "vitest"
import * as Laws from "../../src/testing/Laws.ts"

/** Tests, behind the laws, that each fault has met each step that waits for the peer, but for what cannot happen. */
export const complete = (suite: Laws.HandshakeSuite, { impossible, waiting }: {
  readonly waiting: ReadonlyArray<string>
  readonly impossible: ReadonlyArray<string>
}): void => {
  it("each fault has met each step that waits for the peer", () => {
    const holes = Laws.holes(Effect.runSync(suite.coverage))
      .map(({ fault, side, step }) => ({ at: `${side}: ${step}`, fault }))
      .filter(({ at }) => waiting.includes(at))
      .map(({ at, fault }) => `${at}, ${fault}`)
    expect(holes).toEqual(impossible)
  })

  afterAll(() => console.log(`${suite.name}\n${Laws.formatCoverage(Effect.runSync(suite.coverage))}\n`))
}
