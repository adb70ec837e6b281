/**
 * The laws of PostgreSQL's start-up by `md5`, on the rungs where nothing waits.
 */
import * as Rung from "../../../../src/testing/Rung.ts"
import { laws } from "./laws.ts"

laws({ method: "md5", version: "3.0", rungs: [Rung.simulated(), Rung.fast(Rung.pure)] })
