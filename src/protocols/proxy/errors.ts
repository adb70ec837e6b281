/**
 * What is wrong with a header.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"

export const malformed = (problem: string, excerpt: string): Result.Result<never, Codec.CodecError> =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt, fault: "peer" }))

export const unencodable = (problem: string): Result.Result<never, Codec.CodecError> =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt: "a PROXY header to be sent", fault: "local" }))

export const tooLarge = (
  limit: number,
  excerpt: string,
  fault: Codec.Fault = "peer"
): Result.Result<never, Codec.CodecError> => Result.fail(new Codec.FrameTooLarge({ limit, excerpt, fault }))
