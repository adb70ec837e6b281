/**
 * What the laws of a handshake have tried.
 */
import * as Effect from "effect/Effect"
import { afterAll, expect, it } from "vitest"
import * as Laws from "../../src/testing/Laws.ts"

/** Tests, behind the laws, that each fault has met each step that can meet it, and each place of each message was changed. */
export const complete = (suite: Laws.HandshakeSuite): void => {
  it("nothing was left untried", () => {
    expect(Laws.holes(Effect.runSync(suite.coverage))).toEqual([])
  })

  afterAll(() => console.log(`${suite.name}\n${Laws.formatCoverage(Effect.runSync(suite.coverage))}\n`))
}
