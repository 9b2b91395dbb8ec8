import{P as e,n as t,t as n}from"./queries-mm0DrzT1.js";var r=`number firstBlock lastBlock startsAt endsAt rule manifestHash ledgerDigest
  tokens {
    vault token payments root published revenue { ${n} } credited { ${n} } held { ${n} }
    rounding { ${n} } cumulative { ${n} }
  }`,i=async n=>(await e(`query Epochs($after: String) { epochs(first: 50, after: $after) { ${t} edges { node { ${r} } } } }`,{after:n})).epochs,a=async t=>{let n=await e(`query Epoch($number: Int!) { epoch(number: $number) { ${r} } status { settledEpoch } }`,{number:t});return{epoch:n.epoch,last:n.status.settledEpoch}},o=async(t,n)=>(await e(`query Flows($number: Int!, $token: Address!) {
      epoch(number: $number) {
        flows(first: 500, token: $token) {
          step depth source sourceLabel target targetLabel amount { raw token symbol decimals }
        }
      }
    }`,{number:t,token:n})).epoch?.flows??[],s=60;async function c(t){let n=new Map;for(let r=0;r<t.length;r+=s){let i=t.slice(r,r+s).filter(e=>/^0x[0-9a-f]{64}$/i.test(e));if(i.length===0)continue;let a=i.map((e,t)=>`c${t}: contribution(id: "${e}") { contributor }`).join(`
`),o=await e(`query Contributors { ${a} }`);i.forEach((e,t)=>{let r=o[`c${t}`]?.contributor;r&&n.set(e,r)})}return n}export{o as i,a as n,i as r,c as t};