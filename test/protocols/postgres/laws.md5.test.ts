import * as Rung from "../../../src/testing/Rung.ts"
import { lawsOf } from "./laws.ts"

lawsOf("md5", "3.0", [Rung.pure, Rung.fast(Rung.simulated())])
