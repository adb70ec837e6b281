/**
 * What a server logs of a connection that has failed.
 */
import { expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { HandshakeError, type Reason, Rejected } from "../../../src/HandshakeError.ts"
import { report } from "../../../src/internal/server/report.ts"
import * as Peer from "../../../src/Peer.ts"

const logged = Effect.fnUntraced(function*(reason: Reason) {
  const seen: Array<string> = []
  const logger = Logger.make(({ cause, logLevel }) => {
    seen.push(`${logLevel} ${Cause.pretty(cause).split("\n")[0]}`.trim())
  })
  yield* report(Cause.fail(new HandshakeError({ protocol: "line", step: "a", reason })), 1, Peer.unknown).pipe(
    Effect.provideService(References.CurrentLoggers, new Set([logger])),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
  return seen
})

const rejected = { by: "local", said: "no", retryable: true } as const

it.effect("that this side turns a peer away is for those who debug, unless something has gone wrong here", () =>
  Effect.gen(function*() {
    expect(yield* logged(new Rejected(rejected))).toEqual(["Debug"])
    expect(yield* logged(new Rejected({ ...rejected, cause: new Error("LDAP is gone") }))).toEqual([
      "Warn Error: LDAP is gone"
    ])
  }))
