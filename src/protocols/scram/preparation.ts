/**
 * How passwords and user names are prepared (RFC 5802 2.2 and 5.1).
 *
 * @internal
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AuthenticationFailed } from "../../HandshakeError.ts"
import { failed } from "./errors.ts"
import * as Saslprep from "./saslprep.ts"

export type Preparation = "strict" | "postgres"

const problems: Record<Saslprep.Problem, string> = {
  prohibited: "has a character in it that SASLprep prohibits",
  unassigned: "has a character in it that is not of Unicode 3.2",
  bidirectional: "mixes the directions of writing as SASLprep does not allow",
  marks: "has more marks in a row than any language needs",
  empty: "is empty"
}

/** RFC 5802 2.2, Normalize: a password is a stored string, and has only code points that are assigned. */
export const preparePassword = (
  password: Redacted.Redacted<string>,
  preparation: Preparation = "strict"
): Result.Result<string, AuthenticationFailed> =>
  Result.mapError(
    preparation === "strict"
      ? Saslprep.prepare(Redacted.value(password))
      : Saslprep.preparePostgres(Redacted.value(password)),
    (problem) => failed("SCRAM", `the password ${problems[problem]}`, "local")
  )

/** RFC 5802 5.1, n: a name is a query string, and the client gives up where nothing is left of it. */
export const prepareOwnName = (name: string): Result.Result<string, AuthenticationFailed> =>
  name === "" ? Result.succeed("") : Result.mapError(
    Saslprep.prepare(name, "query"),
    (problem) => failed("SCRAM", `the user name ${problems[problem]}`, "local")
  )
