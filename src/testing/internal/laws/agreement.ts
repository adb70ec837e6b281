/**
 * Law 12: client and server agree.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Codec from "../../../Codec.ts"
import * as Excerpt from "../../../Excerpt.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import * as Pipeline from "../../../Pipeline.ts"
import * as Transport from "../../../Transport.ts"
import type * as Suite from "../suite.ts"
import { type Behind, otherRole, type Plan, type Role } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Attempt, type Check, ended, problem } from "./attempt.ts"
import { alternativesOf, cuttings, inPieces, nothing } from "./cases.ts"
import { bytesOf, negotiatedBy } from "./options.ts"

const words = { client: bytesOf("from the client"), server: bytesOf("from the server") }

/** Says its words and waits for the other's; what was negotiated comes along. */
const greets = ({ options }: Attempt, role: Role): Behind => (transport) =>
  Effect.gen(function*() {
    const value = yield* negotiatedBy(options, role, transport)
    const raw = yield* Transport.switchCodec(transport, Codec.bytes)
    yield* raw.send(words[role])
    const due = words[otherRole(role)]
    let heard: Uint8Array = nothing
    while (Trial.firstDifference(heard.subarray(Math.max(0, heard.length - due.length)), due) !== -1) {
      heard = concat([heard, yield* raw.receive])
    }
    return value
  })

const isScripted = ({ options, trial }: Attempt): boolean => options[otherRole(trial.side.role)] === undefined

/** That the two of them meet, whatever is done to what they say, and agree. */
const agree = (attempt: Attempt, plan: Plan, what: string): Effect.Effect<void, Suite.Problem> => {
  const { options, trial } = attempt
  const { role } = trial.side
  const scripted = isScripted(attempt)
  return Effect.flatMap(
    trial.talk({
      ...plan,
      ...(scripted
        ? undefined
        : { behind: greets(attempt, role), peerBehind: greets(attempt, otherRole(role)) })
    }),
    (talk) => {
      const fails = (expected: string, actual: string) =>
        Effect.fail(problem(attempt, talk, {
          scenario: `${scripted ? "it speaks with its script" : "client and server speak with each other"}${what}`,
          expected,
          actual
        }))
      if (!Trial.isReady(talk) || talk.peerExit === undefined || Exit.isFailure(talk.peerExit)) {
        return fails(
          "both end well",
          `the ${role} ${Trial.ended(talk.exit)}, and its peer ${Trial.ended(talk.peerExit)}`
        )
      }
      if (scripted) return Effect.void
      const { behind, peerBehind } = talk
      if (behind === undefined || peerBehind === undefined || Exit.isFailure(behind) || Exit.isFailure(peerBehind)) {
        return fails(
          "behind the handshake each hears what the other says",
          `the ${role}'s side ${ended(behind)}, and its peer's ${ended(peerBehind)}`
        )
      }
      if (!Equal.equals(behind.value, peerBehind.value)) {
        return fails(
          "they agree on what was negotiated, as `negotiated` looks it up",
          `the ${role} has ${Excerpt.ofFrame(behind.value)}, its peer has ${Excerpt.ofFrame(peerBehind.value)}`
        )
      }
      const due = options.negotiated?.value
      return due === undefined || Equal.equals(behind.value, due) ? Effect.void : fails(
        `both have negotiated ${Excerpt.ofFrame(due)}, as \`negotiated.value\` says`,
        `both have ${Excerpt.ofFrame(behind.value)}`
      )
    }
  )
}

/** What they agree on when nobody disturbs them. */
export const undisturbed: Check = (attempt) => attempt.trial.isVirtual ? agree(attempt, {}, "") : Effect.void

export const agreement: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, trial } = attempt
    const { role } = trial.side
    yield* attempt.property(cuttings, (cutting) =>
      agree(
        attempt,
        { lengths: cutting.lengths, seed: cutting.seed, random: cutting.seed },
        `, ${inPieces({ ...cutting, slow: false })}`
      ))
    yield* attempt.each(alternativesOf(trial, options), ({ name, plan, value }) =>
      Effect.flatMap(
        trial.talk({ ...plan, behind: greets(attempt, role), peerBehind: greets(attempt, otherRole(role)) }),
        (talk) => {
          const { behind, peerBehind } = talk
          const haveMet = behind !== undefined && Exit.isSuccess(behind) && peerBehind !== undefined &&
            Exit.isSuccess(peerBehind)
          const agree = haveMet && Equal.equals(behind.value, peerBehind.value)
          if (agree && (value === undefined || Equal.equals(behind.value, value))) return Effect.void
          return Effect.fail(problem(attempt, talk, {
            scenario: `alternative ${Excerpt.ofText(name)}: client and server speak with each other`,
            expected: agree
              ? `both have negotiated ${Excerpt.ofFrame(value)}, as its \`value\` says`
              : "both end well, and agree on what was negotiated",
            actual: haveMet
              ? `the ${role} has ${Excerpt.ofFrame(behind.value)}, its peer has ${Excerpt.ofFrame(peerBehind.value)}`
              : `the ${role} ${Trial.ended(talk.exit)}, and its peer ${Trial.ended(talk.peerExit)}`
          }))
        }
      ))
    const { calls } = options
    if (calls === undefined || isScripted(attempt)) return
    const asks: Behind = (transport) =>
      Effect.flatMap(
        Pipeline.client(transport as Transport.Transport<unknown, unknown>),
        (client) => Effect.forEach(calls.requests, (request) => client.call(request), { concurrency: "unbounded" })
      )
    const talk = yield* trial.talk(
      role === "client" ? { behind: asks, peerBehind: calls.serve } : { behind: calls.serve, peerBehind: asks }
    )
    const expected = calls.requests.map((request) => calls.respond(request))
    const asked = role === "client" ? talk.behind : talk.peerBehind
    const answers = asked !== undefined && Exit.isSuccess(asked) ? asked.value : undefined
    if (Equal.equals(answers, expected)) return
    return yield* Effect.fail(problem(attempt, talk, {
      scenario: `the client makes ${calls.requests.length} calls at once: ${Excerpt.ofFrame(calls.requests)}`,
      expected: `each gets the answer to its own request: ${Excerpt.ofFrame(expected)}`,
      actual: answers === undefined ? `the calls ${ended(asked)}` : Excerpt.ofFrame(answers)
    }))
  })
